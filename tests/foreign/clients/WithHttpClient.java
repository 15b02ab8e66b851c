import java.io.ByteArrayInputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;

/** As it comes: HTTP/2 is preferred, so each request offers `Upgrade: h2c` until the server has declined. */
public class WithHttpClient {
    public static void main(String[] arguments) throws Exception {
        String url = arguments[0], token = arguments[1];
        HttpClient client = HttpClient.newHttpClient();
        int good = 0;
        for (int number = 0; number < 100; number++) {
            String[][] asked = {{"GET", "?page=" + number}, {"POST", ""}, {"PUT", ""}};
            for (String[] each : asked) {
                BodyPublisher body = switch (each[0]) {
                    case "POST" -> BodyPublishers.ofString("{\"number\": " + number + "}");
                    case "PUT" -> BodyPublishers.ofInputStream(() -> new ByteArrayInputStream("in chunks".getBytes()));
                    default -> BodyPublishers.noBody();
                };
                HttpRequest request = HttpRequest.newBuilder(URI.create(url + "/" + number + each[1]))
                        .header("Authorization", "Bearer " + token).method(each[0], body).build();
                var answer = client.send(request, BodyHandlers.ofString());
                if (answer.statusCode() == 200 && answer.body().equals("hello")) good++;
            }
        }
        System.out.println(good);
    }
}
