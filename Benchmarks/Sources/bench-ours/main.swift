// Our contender: the roles of bench-libzmq over module ZeroMQ, with `--backend`, and an echo server on `Proactor`.
import CSupport
import Glibc
import Proactor

let usage = """
    usage: bench-ours echo-server [--backend io_uring|epoll]     (until standard input ends)
    """

bench_die_with_parent()
var words: [String] = []
var backend = BackendKind.ioUring
var remaining = CommandLine.arguments.dropFirst()
while let word = remaining.popFirst() {
    switch word {
    case "--backend":
        guard let name = remaining.popFirst(), let kind = BackendKind(rawValue: name) else { fail(usage) }
        backend = kind
    default: words.append(word)
    }
}

do {
    switch words.first {
    case "echo-server" where words.count == 1:
        bench_raise_descriptor_limit(1 << 16)
        try serveEcho(on: backend)
    default: fail(usage)
    }
} catch {
    fail("\(error)")
}

/// The one place that names backends: below it the server is specialised for each.
func serveEcho(on backend: BackendKind) throws(ProactorError) {
    let address = SocketAddress(numeric: "127.0.0.1", port: 0)!  // a literal
    let socket = try Descriptor.listening(on: address, backlog: 4096)
    tell(endpoint: "tcp://127.0.0.1:\(Descriptor.localAddress(of: socket.number)?.port ?? 0)")
    switch backend {
    case .ioUring: fail("io_uring is not here yet")
    case .epoll:
        var server = try EchoServer<EpollBackend>(socket)
        try server.run()
    }
}
