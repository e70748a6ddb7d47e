// Our contender: the roles of bench-libzmq over module ZeroMQ, and an echo server on module Proactor.
//
// Each role prints one JSON line with its result; the side that binds prints its endpoint first. Order, number and size
// of all messages are checked: a run that lost or changed one has no result.
import CSupport
import Glibc
import Proactor
import ZeroMQ

let usage = """
    usage: bench-ours pull|push ENDPOINT SIZE COUNT MARK   (pull binds; MARK 0 is none)
           bench-ours rep|req ENDPOINT SIZE COUNT          (rep binds)
           bench-ours inproc SIZE COUNT
           bench-ours pull-idle|router-idle ENDPOINT       (until standard input ends)
           bench-ours echo-server                          (until standard input ends)
           bench-ours publish ENDPOINT SUBSCRIBERS TOPICS SIZE COUNT RATE MARK  (TOPICS 0: all match; RATE 0: unpaced)
           bench-ours collect ENDPOINT COUNT MARK          (a PULL; adds bodies of 8 bytes up)
           bench-ours router-echo ENDPOINT                 (until standard input ends)
           bench-ours server-echo ENDPOINT                 (until standard input ends)
           bench-ours clients ENDPOINT TASKS DEPTH COUNT   (tasks on one CLIENT, DEPTH requests outstanding each)
           bench-ours heartbeat ENDPOINT MILLISECONDS      (the interval; until standard input ends)
    each with  --backend io_uring|epoll   --caller-driven   --async [--pool] (pull)
    """

bench_die_with_parent()
var setting = Setting()
var words: [String] = []
var remaining = CommandLine.arguments.dropFirst()
while let word = remaining.popFirst() {
    switch word {
    case "--backend":
        guard let name = remaining.popFirst(), let kind = BackendKind(rawValue: name) else { fail(usage) }
        setting.backend = kind
    case "--caller-driven": setting.isCallerDriven = true
    case "--async": setting.isAsync = true
    case "--pool": setting.isOnPool = true
    default: words.append(word)
    }
}

func number(_ word: String) -> Int {
    guard let number = Int(word), number >= 0 else { fail("not a number: \(word)") }
    return number
}

do {
    switch (words.first, words.count) {
    case ("pull", 5):
        try Throughput.pull(
            setting, endpoint: words[1], size: number(words[2]), count: UInt64(number(words[3])),
            mark: number(words[4]))
    case ("push", 5):
        setting.isAsync = false
        try Throughput.push(
            setting, endpoint: words[1], size: number(words[2]), count: UInt64(number(words[3])),
            mark: number(words[4]))
    case ("inproc", 3): try Throughput.inproc(setting, size: number(words[1]), count: UInt64(number(words[2])))
    case ("req", 4):
        try Latency.req(setting, endpoint: words[1], size: number(words[2]), count: UInt64(number(words[3])))
    case ("rep", 4):
        try Latency.rep(setting, endpoint: words[1], size: number(words[2]), count: UInt64(number(words[3])))
    case ("pull-idle", 2): try Idle.pull(setting, endpoint: words[1])
    case ("router-idle", 2): try Idle.router(setting, endpoint: words[1])
    case ("publish", 8):
        try Many.publish(
            setting, endpoint: words[1], subscribers: number(words[2]), topics: number(words[3]),
            size: number(words[4]), count: UInt64(number(words[5])), rate: UInt64(number(words[6])),
            mark: number(words[7]))
    case ("collect", 4):
        try Many.collect(
            setting, endpoint: words[1], count: UInt64(number(words[2])), mark: number(words[3]))
    case ("router-echo", 2): try Many.routerEcho(setting, endpoint: words[1])
    case ("server-echo", 2): try ThreadSafe.serverEcho(setting, endpoint: words[1])
    case ("clients", 5):
        try ThreadSafe.clients(
            setting, endpoint: words[1], tasks: number(words[2]), depth: number(words[3]),
            count: UInt64(number(words[4])))
    case ("heartbeat", 3): try Many.heartbeat(setting, endpoint: words[1], milliseconds: number(words[2]))
    case ("echo-server", 1): try serveEcho(on: setting.backend)
    default: fail(usage)
    }
} catch {
    fail("\(error)")
}

/// The one place that names backends: below it the server is specialised for each.
func serveEcho(on backend: BackendKind) throws(ProactorError) {
    bench_raise_descriptor_limit(1 << 16)
    let address = SocketAddress(numeric: "127.0.0.1", port: 0)!  // a literal
    let socket = try Descriptor.listening(on: address, backlog: 4096)
    tell(endpoint: "tcp://127.0.0.1:\(Descriptor.localAddress(of: socket.number)?.port ?? 0)")
    switch backend {
    case .ioUring:
        var server = try EchoServer<IOUringBackend>(socket)
        try server.run()
    case .epoll:
        var server = try EchoServer<EpollBackend>(socket)
        try server.run()
    }
}
