// Tomcat: what servlets answer behind the gateway. Arguments: the port, a folder with files, RemoteIpValve or not, and its hostHeader.
import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.File;
import java.io.IOException;
import java.util.Collections;
import java.util.List;
import java.util.stream.Collectors;
import org.apache.catalina.Context;
import org.apache.catalina.Wrapper;
import org.apache.catalina.servlets.DefaultServlet;
import org.apache.catalina.startup.Tomcat;
import org.apache.catalina.valves.RemoteIpValve;

public class TomcatApp {
  interface Answering {
    void answer(HttpServletRequest request, HttpServletResponse response) throws IOException;
  }

  static String quoted(String text) {
    return '"' + text.replace("\\", "\\\\").replace("\"", "\\\"") + '"';
  }

  static void echo(HttpServletRequest request, HttpServletResponse response) throws IOException {
    long bytes = request.getInputStream().transferTo(java.io.OutputStream.nullOutputStream());
    List<String> names = Collections.list(request.getHeaderNames());
    String headers = names.stream().map(name -> quoted(name.toLowerCase()) + ": " + quoted(request.getHeader(name)))
        .collect(Collectors.joining(", "));
    String info = request.getPathInfo() == null ? "" : request.getPathInfo();
    response.setContentType("application/json");
    response.getWriter().print("{\"path\": " + quoted(request.getServletPath() + info) + ", \"bytes\": " + bytes
        + ", \"servlet\": " + quoted(request.getServletPath()) + ", \"client\": " + quoted(request.getRemoteAddr())
        + ", \"url\": " + quoted(request.getRequestURL().toString()) + ", \"headers\": {" + headers + "}}");
  }

  static void serve(Context context, String path, Answering answering) {
    Tomcat.addServlet(context, path, new HttpServlet() {
      @Override
      protected void service(HttpServletRequest request, HttpServletResponse response) throws IOException {
        answering.answer(request, response);
      }
    });
    context.addServletMappingDecoded(path, path);
  }

  public static void main(String[] words) throws Exception {
    Tomcat tomcat = new Tomcat();
    tomcat.setBaseDir(words[1]);
    tomcat.setPort(Integer.parseInt(words[0]));
    tomcat.getConnector().setProperty("address", "127.0.0.1");
    tomcat.getConnector().setProperty("compression", "on");
    tomcat.getConnector().setProperty("compressionMinSize", "1024");
    if (words.length > 2) {
      RemoteIpValve valve = new RemoteIpValve();
      if (words.length > 3 && !words[3].isEmpty()) {
        valve.setHostHeader(words[3]);
      }
      tomcat.getHost().getPipeline().addValve(valve);
    }
    Context context = tomcat.addContext("", new File(words[1], "files").getAbsolutePath());
    context.addMimeMapping("txt", "text/plain");
    context.addWelcomeFile("index.html");
    Wrapper files = Tomcat.addServlet(context, "files", new DefaultServlet());
    files.addInitParameter("listings", "false");
    context.addServletMappingDecoded("/", "files");
    serve(context, "/echo", TomcatApp::echo);
    serve(context, "/upload", TomcatApp::echo);
    serve(context, "/admin/*", TomcatApp::echo);
    serve(context, "/relative", (request, response) -> response.sendRedirect("/echo"));
    serve(context, "/away", (request, response) -> response.sendRedirect(
        request.getRequestURL().toString().replaceFirst("/away$", "/echo")));
    serve(context, "/text", (request, response) -> {
      response.setContentType("text/plain");
      response.getWriter().print("a line of text\n".repeat(200));
    });
    serve(context, "/cookie", (request, response) -> response.addHeader("Set-Cookie", "seen=1; Path=/account"));
    serve(context, "/reject", (request, response) -> response.sendError(413));
    tomcat.start();
    tomcat.getServer().await();
  }
}
