package example;

import java.util.List;
import java.util.Map;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.annotation.Bean;
import org.springframework.security.config.annotation.web.builders.HttpSecurity;
import org.springframework.security.config.http.SessionCreationPolicy;
import org.springframework.security.core.annotation.AuthenticationPrincipal;
import org.springframework.security.oauth2.core.DelegatingOAuth2TokenValidator;
import org.springframework.security.oauth2.jose.jws.SignatureAlgorithm;
import org.springframework.security.oauth2.jwt.Jwt;
import org.springframework.security.oauth2.jwt.JwtClaimNames;
import org.springframework.security.oauth2.jwt.JwtClaimValidator;
import org.springframework.security.oauth2.jwt.JwtDecoder;
import org.springframework.security.oauth2.jwt.JwtValidators;
import org.springframework.security.oauth2.jwt.NimbusJwtDecoder;
import org.springframework.security.web.SecurityFilterChain;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;

/** A backend that believes only what the gateway signed. Nimbus verifies ES256 here; EdDSA needs Tink beside it. */
@SpringBootApplication
@RestController
public class Backend {
  public static void main(String[] args) {
    System.setProperty("server.port", System.getenv("PORT"));
    System.setProperty("server.address", "127.0.0.1");
    SpringApplication.run(Backend.class, args);
  }

  @GetMapping("/**")
  Map<String, Object> caller(@AuthenticationPrincipal Jwt token) {
    return token.getClaims();
  }

  @Bean
  SecurityFilterChain security(HttpSecurity http) throws Exception {
    return http
        .authorizeHttpRequests(all -> all.anyRequest().authenticated())
        .sessionManagement(sessions -> sessions.sessionCreationPolicy(SessionCreationPolicy.STATELESS))
        .oauth2ResourceServer(server -> server
            .bearerTokenResolver(request -> request.getHeader("X-Identity-Token"))
            .jwt(jwt -> {}))
        .build();
  }

  @Bean
  JwtDecoder decoder(
      @Value("${KEYS}") String keys, @Value("${ISSUER}") String issuer, @Value("${AUDIENCE}") String audience) {
    // Never the algorithm that the token itself names.
    NimbusJwtDecoder decoder =
        NimbusJwtDecoder.withJwkSetUri(keys).jwsAlgorithm(SignatureAlgorithm.ES256).build();
    decoder.setJwtValidator(new DelegatingOAuth2TokenValidator<>(
        JwtValidators.createDefaultWithIssuer(issuer),
        new JwtClaimValidator<List<String>>(
            JwtClaimNames.AUD, named -> named != null && named.contains(audience))));
    return decoder;
  }
}
