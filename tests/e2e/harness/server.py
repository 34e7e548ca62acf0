"""The HTTP server behind what tests answer themselves."""
import http.server


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256  # of 5, which is the default, a crowd fills the queue: who comes then, waits for seconds
