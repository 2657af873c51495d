import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.util.concurrent.Executors;

/** An example: notes in a database on the data disk, by PUT and GET. Replace it and jars.lock. */
public final class Notes {
  private final Connection database;

  private Notes(String folder) throws SQLException {
    database = DriverManager.getConnection("jdbc:h2:file:" + folder + "/notes;DB_CLOSE_ON_EXIT=FALSE");
    try (var statement = database.createStatement()) {
      statement.execute("CREATE TABLE IF NOT EXISTS notes (name VARCHAR PRIMARY KEY, text VARCHAR)");
    }
  }

  public static void main(String[] arguments) throws IOException, SQLException {
    var notes = new Notes(arguments[0]);
    var address = new InetSocketAddress(arguments[1], Integer.parseInt(arguments[2]));
    var server = HttpServer.create(address, 0);
    server.setExecutor(Executors.newFixedThreadPool(8));
    server.createContext("/", notes::answer);
    server.start();
    Runtime.getRuntime().addShutdownHook(new Thread(() -> notes.close(server)));
    System.out.println("listens on " + address);
  }

  private void close(HttpServer server) {
    server.stop(1);
    try {
      database.close();
    } catch (SQLException error) {
      System.err.println(error.getMessage());
    }
  }

  private void answer(HttpExchange exchange) throws IOException {
    var name = exchange.getRequestURI().getPath().substring(1);
    try {
      if (exchange.getRequestMethod().equals("PUT")) {
        write(name, new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8));
        send(exchange, 204, null);
      } else {
        var text = read(name);
        send(exchange, text == null ? 404 : 200, text);
      }
    } catch (SQLException error) {
      System.err.println(error.getMessage());
      send(exchange, 500, null);
    }
  }

  private synchronized void write(String name, String text) throws SQLException {
    try (var statement = database.prepareStatement("MERGE INTO notes KEY (name) VALUES (?, ?)")) {
      statement.setString(1, name);
      statement.setString(2, text);
      statement.execute();
    }
  }

  private synchronized String read(String name) throws SQLException {
    try (var statement = database.prepareStatement("SELECT text FROM notes WHERE name = ?")) {
      statement.setString(1, name);
      try (var rows = statement.executeQuery()) {
        return rows.next() ? rows.getString(1) : null;
      }
    }
  }

  private static void send(HttpExchange exchange, int status, String text) throws IOException {
    var body = text == null ? new byte[0] : text.getBytes(StandardCharsets.UTF_8);
    exchange.sendResponseHeaders(status, body.length == 0 ? -1 : body.length);
    try (var out = exchange.getResponseBody()) {
      out.write(body);
    }
  }
}
