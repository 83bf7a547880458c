package consumer;

import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.cloud.client.discovery.EnableDiscoveryClient;
import org.springframework.cloud.client.loadbalancer.LoadBalanced;
import org.springframework.cloud.openfeign.EnableFeignClients;
import org.springframework.cloud.openfeign.FeignClient;
import org.springframework.context.annotation.Bean;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestBody;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.client.RestTemplate;

/** The legacy app: whoever calls it makes it call {@code service-provider}, by Feign or by a RestTemplate. */
@SpringBootApplication
@EnableDiscoveryClient
@EnableFeignClients
@RestController
public class Consumer {

    private static final String PROVIDER = "http://service-provider/echo/{id}";

    private final Echo feign;
    private final RestTemplate rest;

    public Consumer(Echo feign, RestTemplate rest) {
        this.feign = feign;
        this.rest = rest;
    }

    public static void main(String[] args) {
        SpringApplication.run(Consumer.class, args);
    }

    @Bean
    @LoadBalanced
    public static RestTemplate restTemplate() {
        return new RestTemplate();
    }

    @GetMapping("/feign/{id}")
    public String getByFeign(@PathVariable("id") String id) {
        return feign.get(id);
    }

    @PostMapping("/feign/{id}")
    public String postByFeign(@PathVariable("id") String id, @RequestBody String order) {
        return feign.post(id, order);
    }

    @GetMapping("/rest/{id}")
    public String getByRest(@PathVariable("id") String id) {
        return rest.getForObject(PROVIDER, String.class, id);
    }

    @PostMapping("/rest/{id}")
    public String postByRest(@PathVariable("id") String id, @RequestBody String order) {
        return rest.postForObject(PROVIDER, order, String.class, id);
    }

    @FeignClient("service-provider")
    interface Echo {

        @GetMapping("/echo/{id}")
        String get(@PathVariable("id") String id);

        @PostMapping("/echo/{id}")
        String post(@PathVariable("id") String id, @RequestBody String order);
    }
}
