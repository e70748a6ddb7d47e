import Glibc
import Logging
import Proactor
import Testing

@testable import ZeroMQ

extension Sockets {
    /// Options whose effect no other suite looks at: at the kernel, on the wire, in time.
    @Suite("Options", .timeLimit(.minutes(1))) struct OptionTests {
        /// The descriptors of a connection, asked for once both handshakes are done: who connected, who accepted.
        private static func connect(
            _ push: PushSocket, _ pull: PullSocket, _ setup: Setup, in context: Context
        ) throws -> [Int32] {
            let (connecting, accepting) = (push.monitor(), pull.monitor())
            try push.connect(pull.bind(setup.wildcard))
            return try [connecting, accepting].map {
                try context.await($0, "handshake") { $0 == .handshakeSucceeded }.descriptor
            }
        }

        @Test("The kernel's buffers have the size asked for, at both ends", arguments: Setup.connected)
        func buffers(setup: Setup) throws {
            let context = try setup.context()
            defer { context.close() }
            let options = SocketOptions.test {
                $0.kernelSendBuffer = 30_000
                $0.kernelReceiveBuffer = 20_000
            }
            let push = try PushSocket(context, options)
            let pull = try PullSocket(context, options)
            for descriptor in try Self.connect(push, pull, setup, in: context) {
                // Linux doubles what is set (socket(7)).
                #expect(try Descriptor.option(descriptor, .sendBuffer) == 60_000)
                #expect(try Descriptor.option(descriptor, .receiveBuffer) == 40_000)
            }
        }

        @Test("TCP keep-alive is set at both ends where it is asked for, and only there", arguments: Setup.tcp)
        func keepAlive(setup: Setup) throws {
            let context = try setup.context()
            defer { context.close() }
            for keepAlive in [nil, SocketOptions.KeepAlive(idle: 77, interval: 33, count: 5)] {
                let options = SocketOptions.test { $0.keepAlive = keepAlive }
                let push = try PushSocket(context, options)
                let pull = try PullSocket(context, options)
                for descriptor in try Self.connect(push, pull, setup, in: context) {
                    #expect(try Descriptor.option(descriptor, .keepAlive) == (keepAlive == nil ? 0 : 1))
                    guard let keepAlive else { continue }
                    #expect(try Descriptor.option(descriptor, .keepAliveIdle) == Int32(keepAlive.idle))
                    #expect(try Descriptor.option(descriptor, .keepAliveInterval) == Int32(keepAlive.interval))
                    #expect(try Descriptor.option(descriptor, .keepAliveCount) == Int32(keepAlive.count))
                }
            }
        }

        @Test("A listener has the backlog asked for", arguments: Setup.tcp, [1, 37])
        func backlog(setup: Setup, backlog: Int) throws {
            let context = try setup.context()
            defer { context.close() }
            let pull = try PullSocket(context, .test { $0.backlog = backlog })
            let monitor = pull.monitor()
            try pull.bind(setup.wildcard)
            let descriptor = try context.await(monitor, "listener") { $0 == .listening }.descriptor
            // Of a listener, TCP_INFO tells the longest queue where a connection has tcpi_sacked (Linux, tcp_get_info).
            var info = [UInt8](repeating: 0, count: 32)
            let size = try info.withUnsafeMutableBytes {
                try Descriptor.rawOption(
                    descriptor, SocketOption(level: Int32(IPPROTO_TCP), name: TCP_INFO), into: $0)
            }
            #expect(size == 32)
            let longest = info.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: 28, as: UInt32.self) }
            #expect(longest == UInt32(backlog))
        }

        @Test(
            "An attempt to connect that nobody answers is given up in time, and made again",
            arguments: Setup.engines)
        func connectTimeout(setup: Setup) throws {
            let context = try setup.context()
            defer { context.close(timeout: .milliseconds(100)) }
            // A listener whose queue is full: the kernel drops what comes then (listen(2) with 0 keeps one).
            let port = try RawPeer.freePort()
            let server = try RawServer(port: port, backlog: 0)
            let filler = try RawPeer("tcp://127.0.0.1:\(port)")
            let push = try PushSocket(context, .test { $0.connectTimeout = .milliseconds(30) })
            let monitor = push.monitor()
            let start = Deadline.now
            try push.connect("tcp://127.0.0.1:\(port)")
            try context.await(monitor, "time-out") { $0 == .connectFailed(.timedOut) }
            #expect(Deadline.now.since(start) >= .milliseconds(30))
            // With the place free again, an attempt gets through.
            _ = try server.accept()
            try context.await(monitor, "connection") { $0 == .connected }
            let peer = try server.accept()
            try push.send("late")
            try peer.shakeHands(as: "PULL")
            #expect(try peer.receiveFrame().body == Array("late".utf8))
            withExtendedLifetime(filler) {}
        }

        @Test("A send without a deadline of its own has the socket's time-out", arguments: Setup.tcp)
        func sendTimeout(setup: Setup) async throws {
            let context = try setup.context()
            defer { context.close() }
            let push = try PushSocket(context, .test { $0.sendTimeout = .milliseconds(20) })
            let start = Deadline.now
            expectError(.timedOut) { try push.send("nobody") }
            let span = Deadline.now.since(start)
            #expect(span >= .milliseconds(20) && span < .seconds(5))
            // A deadline of its own comes first.
            let own = Deadline.now
            expectError(.timedOut) { try push.send("nobody", until: .after(.milliseconds(60))) }
            #expect(Deadline.now.since(own) >= .milliseconds(60))
            guard setup.drive == .background else { return }
            do {
                try await push.send("nobody")
                Issue.record("sent to nobody")
            } catch {
                #expect(error.code == .timedOut)
            }
        }

        @Test(
            "XSUB sends on each cancellation, or that of the last holder", arguments: Setup.engines, [false, true])
        func unsubscribeVerbose(setup: Setup, isVerbose: Bool) throws {
            let context = try setup.context()
            defer { context.close() }
            let port = try RawPeer.freePort()
            let server = try RawServer(port: port)
            let socket = try XSubscribeSocket(context, .test { $0.isUnsubscribeVerbose = isVerbose })
            try socket.connect("tcp://127.0.0.1:\(port)")
            let peer = try server.accept()
            try peer.shakeHands(as: "XPUB")
            try socket.awaitPeers(1, in: context)
            func expect(_ command: String, _ topic: String) throws {
                let body = try peer.receiveFrame().body
                #expect(body == [UInt8(command.utf8.count)] + Array(command.utf8) + Array(topic.utf8))
            }
            for _ in 0..<2 {
                socket.subscribe("a")
                try expect("SUBSCRIBE", "a")
            }
            socket.cancel("a")
            if isVerbose { try expect("CANCEL", "a") }
            socket.cancel("a")
            try expect("CANCEL", "a")
            socket.subscribe("end")
            try expect("SUBSCRIBE", "end")
        }

        @Test(
            "Connections are served by the loops that affinity allows, made or accepted",
            arguments: Setup.connected.filter { $0.drive == .background }, [0b010, 0b101] as [UInt64])
        func affinity(setup: Setup, affinity: UInt64) throws {
            let context = try setup.context(loops: 3)
            defer { context.close() }
            let pull = try PullSocket(context, .test { $0.affinity = affinity })
            let endpoint = try pull.bind(setup.wildcard)
            let push = try PushSocket(context, .test { $0.affinity = affinity })
            for _ in 0..<6 { try push.connect(endpoint) }
            try pull.awaitPeers(6, in: context)
            try push.awaitPeers(6, in: context)
            let doors = context.core.allDoors
            for socket in [pull, push] {
                let used = socket.core.registry.withLock { registry in
                    registry.connections.values.map { connection in doors.firstIndex { $0 === connection.door } }
                }
                let bits = used.reduce(UInt64(0)) { $0 | 1 << UInt64($1 ?? 63) }
                #expect(bits == affinity, "\(used)")
            }
        }

        @Test(
            "A context reports the engine's features that it was told to use, and no other",
            .enabled(if: Engine.ioUring.refusal == nil, "io_uring cannot run here"))
        func engine() throws {
            var configuration = EngineConfiguration()
            configuration.features = []
            let context = try Context(backend: .ioUring, engine: configuration)
            defer { context.close() }
            let whole = try Context(backend: .ioUring)
            let used = [whole, context].map { Set($0.report.features.filter(\.isUsed).map(\.name)) }
            #expect(used[1].isStrictSubset(of: used[0]), "\(context.report)")
            let pull = try PullSocket(context, .test)
            let push = try PushSocket(context, .test)
            try push.connect(pull.bind("tcp://127.0.0.1:*"))
            try push.send("x")
            #expect(try pull.receive().string == "x")
        }

        @Test(
            "The context's logger hears of its start, of what monitors hear of, and of its end",
            arguments: Setup.tcp)
        func logger(setup: Setup) throws {
            let lines = Shared<[String]>([])
            var logger = Logger(label: "test") { _ in CollectingHandler(lines: lines) }
            logger.logLevel = .debug
            let context = try Context(
                backend: setup.engine.choice,
                mode: setup.drive == .background ? .background(loops: 1) : .callerDriven, logger: logger)
            let pull = try PullSocket(context, .test)
            let endpoint = try pull.bind(setup.wildcard)
            let isTold = context.eventually {
                lines.value.contains { $0.hasPrefix("debug listening") && $0.contains(endpoint) }
            }
            #expect(isTold, "\(lines.value)")
            #expect(lines.value.first?.hasPrefix("info context started") == true)
            context.close()
            #expect(lines.value.last?.hasPrefix("info context closed") == true, "\(lines.value)")
        }
    }
}

/// Keeps what is logged, as a line each: level, message, metadata.
private struct CollectingHandler: LogHandler {
    let lines: Shared<[String]>
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.trace

    subscript(metadataKey key: String) -> Logger.MetadataValue? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        lines.change { $0.append("\(event.level) \(event.message) \(event.metadata ?? [:])") }
    }
}
