import Glibc
import Proactor
import ZeroMQ

/// An exchange with libzmq as the distribution ships it, in another process: Debian's python3-zmq.
///
/// The peer connects a PULL, a PUSH and a REP. It tells its version, takes a numbered flow from us, answers our
/// requests, and sends a numbered flow back. Both sides check every message.
enum StockPeer {
    /// Messages of each flow.
    static let count = 10_000
    /// Requests, of two frames each.
    static let requests = 100
    private static let patience = Duration.seconds(8)
    /// Debian's own: python3-zmq belongs to that one, not to one from a version manager.
    private static let python = "/usr/bin/python3"

    enum Failure: Error, CustomStringConvertible {
        case wrongMessage(String)
        case died(status: Int32)

        var description: String {
            switch self {
            case .wrongMessage(let what): "wrong message: \(what)"
            case .died(let status): "the peer ended early or found a fault (status \(status))"
            }
        }
    }

    private static let script = """
        import sys, zmq
        context = zmq.Context()
        def connected(kind, endpoint):
            socket = context.socket(kind)
            socket.linger = socket.rcvtimeo = socket.sndtimeo = 5000
            socket.connect(endpoint)
            return socket
        pull, push, rep = (connected(*pair) for pair in zip((zmq.PULL, zmq.PUSH, zmq.REP), sys.argv[1:]))
        push.send_string(zmq.zmq_version())
        for number in range(\(count)):
            assert int.from_bytes(pull.recv(), 'little') == number, f'message {number} is not the next'
        for _ in range(\(requests)):
            rep.send_multipart(rep.recv_multipart())
        for number in range(\(count)):
            push.send(number.to_bytes(8, 'little'))
        """

    /// Whether the distribution's Python finds zmq. One that it finds and cannot load is a failure, not an absence.
    static func isInstalled() -> Bool {
        guard access(python, X_OK) == 0, let child = try? Child(python, ["-c", finder]) else { return false }
        return child.end() == 0
    }

    private static let finder = "import importlib.util as u, sys; sys.exit(u.find_spec('zmq') is None)"

    /// - Returns: the peer's version of libzmq.
    static func exchange(on backend: BackendChoice, _ transport: String) throws -> String {
        let limit = Deadline.after(patience)
        let context = try Context(backend: backend)
        defer { context.close(timeout: .seconds(1)) }
        let push = try PushSocket(context)
        let pull = try PullSocket(context)
        let request = try RequestSocket(context)
        let endpoints = try [push, pull, request].map { try $0.bind(anywhere(transport)) }

        let child = try Child(python, ["-c", script] + endpoints)
        let version = try child.first(on: pull, until: limit)
        for number in 0..<UInt64(count) {
            try withUnsafeBytes(of: number.littleEndian) { try push.send($0, until: limit) }
        }
        for number in 0..<requests {
            let question: Message = ["question", Frame("\(number)")]
            try request.send(question, until: limit)
            let answer = try request.receive(until: limit)
            guard answer == question else { throw Failure.wrongMessage("\(answer) for \(question)") }
        }
        for number in 0..<UInt64(count) {
            let bytes = try pull.receive(until: limit).bytes
            guard bytes == withUnsafeBytes(of: number.littleEndian, Array.init) else {
                throw Failure.wrongMessage("\(bytes) instead of \(number)")
            }
        }
        let status = child.end()
        guard status == 0 else { throw Failure.died(status: status) }
        return version
    }

    /// The peer's process; ended with its owner at the latest.
    private struct Child: ~Copyable {
        private let pid: pid_t

        init(_ program: String, _ arguments: [String]) throws {
            var argv: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) }
            defer { for pointer in argv { free(pointer) } }
            argv.append(nil)
            // An empty environment: the peer is the distribution's, whatever the caller's Python settings are.
            var environment: [UnsafeMutablePointer<CChar>?] = [nil]
            var pid = pid_t()
            let error = posix_spawn(&pid, program, nil, nil, argv, &environment)
            guard error == 0 else { throw SystemError(code: error) }
            self.pid = pid
        }

        /// The peer's first message, or soon an error if it ends before that.
        func first(on pull: PullSocket, until limit: Deadline) throws -> String {
            while true {
                do throws(ZeroMQError) {
                    return try pull.receive(until: min(limit, .after(.milliseconds(50)))).string
                } catch {
                    guard error.code == .timedOut, Deadline.now < limit else { throw error }
                }
                // Looks without reaping: the status is `end`'s to take.
                var info = siginfo_t()
                guard waitid(P_PID, id_t(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0, info.si_signo == SIGCHLD
                else { continue }
                throw Failure.died(status: info._sifields._sigchld.si_status)
            }
        }

        /// Waits for an orderly end.
        consuming func end() -> Int32 {
            var status: Int32 = 0
            while waitpid(pid, &status, 0) < 0, errno == EINTR {}
            discard self
            return status
        }

        deinit {
            kill(pid, SIGKILL)
            while waitpid(pid, nil, 0) < 0, errno == EINTR {}
        }
    }
}
