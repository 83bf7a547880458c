package provider;

import java.io.FileWriter;
import java.io.IOException;
import java.io.Writer;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.cloud.client.discovery.EnableDiscoveryClient;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestBody;
import org.springframework.web.bind.annotation.RestController;

/**
 * The provider: it echoes. Each call that it has carried out goes to the file {@code executed}, as a line
 * {@code METHOD ID}, before it is answered.
 */
@SpringBootApplication
@EnableDiscoveryClient
@RestController
public class Provider {

    private final Writer executed;
    private final long thinking;

    /** {@code thinking}: milliseconds that a call takes. */
    public Provider(@Value("${executed}") String executed, @Value("${thinking:20}") long thinking) throws IOException {
        this.executed = new FileWriter(executed, true);
        this.thinking = thinking;
    }

    public static void main(String[] args) {
        SpringApplication.run(Provider.class, args);
    }

    @GetMapping("/echo/{id}")
    public String get(@PathVariable("id") String id) throws IOException, InterruptedException {
        return carryOut("GET", id);
    }

    @PostMapping("/echo/{id}")
    public String post(@PathVariable("id") String id, @RequestBody String order)
        throws IOException, InterruptedException {
        return carryOut("POST", id);
    }

    private String carryOut(String method, String id) throws IOException, InterruptedException {
        Thread.sleep(thinking);
        synchronized (executed) {
            executed.write(method + " " + id + "\n");
            executed.flush();
        }
        return id;
    }
}
