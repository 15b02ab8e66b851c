package demo;

import static org.springframework.security.config.Customizer.withDefaults;
import static org.springframework.security.oauth2.server.authorization.config.annotation.web.configurers.OAuth2AuthorizationServerConfigurer.authorizationServer;

import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.annotation.Bean;
import org.springframework.core.annotation.Order;
import org.springframework.http.HttpStatus;
import org.springframework.security.config.annotation.web.builders.HttpSecurity;
import org.springframework.security.core.userdetails.User;
import org.springframework.security.oauth2.core.AuthorizationGrantType;
import org.springframework.security.oauth2.core.ClientAuthenticationMethod;
import org.springframework.security.oauth2.server.authorization.InMemoryOAuth2AuthorizationService;
import org.springframework.security.oauth2.server.authorization.OAuth2AuthorizationService;
import org.springframework.security.oauth2.server.authorization.client.RegisteredClient;
import org.springframework.security.oauth2.server.authorization.client.RegisteredClientRepository;
import org.springframework.security.provisioning.InMemoryUserDetailsManager;
import org.springframework.security.web.SecurityFilterChain;
import org.springframework.security.web.authentication.LoginUrlAuthenticationEntryPoint;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.bind.annotation.ResponseStatus;
import org.springframework.web.bind.annotation.RestController;

/** Spring Authorization Server as its guide sets it up; an administrator acts by `POST /act/NAME?token=...`. */
@SpringBootApplication
@RestController
public class App {
  private final Map<String, RegisteredClient> clients = new ConcurrentHashMap<>();
  private final InMemoryUserDetailsManager users = new InMemoryUserDetailsManager();
  private final OAuth2AuthorizationService authorizations = new InMemoryOAuth2AuthorizationService();

  public static void main(String[] args) {
    SpringApplication.run(App.class, args);
  }

  public App() {
    for (String user : List.of("alice", "bob", "carol", "dave", "erin", "frank")) {
      users.createUser(User.withUsername(user).password("{noop}password-of-" + user).roles("USER").build());
    }
    for (String id : List.of("app", "doomed", "gateway")) {
      clients.put(id, client(id));
    }
  }

  private static RegisteredClient client(String id) {
    return RegisteredClient.withId(id).clientId(id).clientSecret("{noop}secret-of-" + id)
        .clientAuthenticationMethod(ClientAuthenticationMethod.CLIENT_SECRET_BASIC)
        .authorizationGrantType(AuthorizationGrantType.AUTHORIZATION_CODE)
        .authorizationGrantType(AuthorizationGrantType.REFRESH_TOKEN)
        .authorizationGrantType(AuthorizationGrantType.CLIENT_CREDENTIALS)
        .redirectUri("https://app.example/back").postLogoutRedirectUri("https://app.example/out")
        .scope("openid").scope("orders:read").build();
  }

  @PostMapping("/act/{name}")
  @ResponseStatus(HttpStatus.NO_CONTENT)
  void act(@PathVariable("name") String name, @RequestParam("token") String token) {
    var authorization = authorizations.findByToken(token, null);
    switch (name) {
      case "remove-client" -> clients.remove(authorization.getRegisteredClientId());
      case "remove-user" -> users.deleteUser(authorization.getPrincipalName());
      case "new-password" -> users.updateUser(
          User.withUsername(authorization.getPrincipalName()).password("{noop}another").roles("USER").build());
      case "end-authorization" -> authorizations.remove(authorization);
      default -> throw new IllegalArgumentException(name);
    }
  }

  @Bean
  RegisteredClientRepository clients() {
    return new RegisteredClientRepository() {
      public void save(RegisteredClient client) { clients.put(client.getId(), client); }
      public RegisteredClient findById(String id) { return clients.get(id); }
      public RegisteredClient findByClientId(String id) { return clients.get(id); }
    };
  }

  @Bean
  OAuth2AuthorizationService authorizations() { return authorizations; }

  @Bean
  InMemoryUserDetailsManager users() { return users; }

  @Bean
  @Order(0)
  SecurityFilterChain acts(HttpSecurity http) throws Exception {
    return http.securityMatcher("/act/**").csrf(one -> one.disable())
        .authorizeHttpRequests(all -> all.anyRequest().permitAll()).build();
  }

  @Bean
  @Order(1)
  SecurityFilterChain authorizationServerChain(HttpSecurity http) throws Exception {
    var server = authorizationServer();
    return http.securityMatcher(server.getEndpointsMatcher()).with(server, one -> one.oidc(withDefaults()))
        .authorizeHttpRequests(all -> all.anyRequest().authenticated())
        .exceptionHandling(one -> one.authenticationEntryPoint(new LoginUrlAuthenticationEntryPoint("/login"))).build();
  }

  @Bean
  @Order(2)
  SecurityFilterChain login(HttpSecurity http) throws Exception {
    return http.authorizeHttpRequests(all -> all.anyRequest().authenticated()).formLogin(withDefaults()).build();
  }
}
