package interop;

import java.util.Set;
import software.amazon.awssdk.http.apache5.Apache5HttpClient;
import software.amazon.awssdk.http.urlconnection.UrlConnectionHttpClient;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisClient;

/**
 * The AWS SDK for Java v2 against the emulator: its two clients for HTTP/1.1, and the asynchronous one
 * that speaks HTTP/2. Settings come from the environment, as for any program, and so does whether it
 * speaks CBOR or JSON.
 */
public final class Main {
    public static void main(String[] arguments) {
        int status = 1;
        try {
            run();
            status = 0;
        } catch (Throwable failure) {
            failure.printStackTrace();
        }
        System.exit(status); // Readers may still be waiting for what does not come.
    }

    private static void run() throws Exception {
        Wire wire = new Wire();
        try (KinesisClient apache = KinesisClient.builder()
                        .httpClientBuilder(Apache5HttpClient.builder())
                        .overrideConfiguration(settings -> settings.addExecutionInterceptor(wire))
                        .build();
                KinesisClient plain = KinesisClient.builder()
                        .httpClientBuilder(UrlConnectionHttpClient.builder())
                        .overrideConfiguration(settings -> settings.addExecutionInterceptor(wire))
                        .build();
                KinesisAsyncClient netty = KinesisAsyncClient.builder()
                        .overrideConfiguration(settings -> settings.addExecutionInterceptor(wire))
                        .build()) {
            Reading.run(Calls.of(apache), "apache");
            Reading.run(Calls.of(plain), "url-connection");
            Reading.run(Calls.of(netty), "netty");
            Generations.run(new Calls[] {Calls.of(apache), Calls.of(plain), Calls.of(netty)}, netty, "generations");
            Refusals.run(apache, netty, "refusals");
        }
        String type = "false".equals(System.getenv("CBOR_ENABLED")) ? "json" : "cbor";
        Checks.check("all of it was " + type, wire.types().equals(Set.of("application/x-amz-" + type + "-1.1")), wire.types());
    }
}
