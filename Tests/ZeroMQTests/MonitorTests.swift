import Testing
import ZMTP

@testable import ZeroMQ

extension Sockets {
    @Suite("Monitors") struct MonitorTests {
        @Test("The life of a connection is told in order on both sides", arguments: Setup.connected)
        func life(setup: Setup) throws {
            let context = try setup.context()
            let pull = try PullSocket(context, .test)
            let push = try PushSocket(context, .test)
            let (bound, connected) = (pull.monitor(), push.monitor())
            let endpoint = try pull.bind(setup.wildcard)
            try push.connect(endpoint)
            try push.send("x")
            _ = try pull.receive()
            push.close()
            for expected in [SocketEvent.Kind.listening, .accepted, .handshakeSucceeded] {
                let event = try context.await(bound, "\(expected)") { _ in true }
                #expect(event.kind == expected && event.endpoint == endpoint)
            }
            try context.await(bound, "end") { if case .disconnected = $0 { true } else { false } }
            for expected in [SocketEvent.Kind.connectDelayed, .connected, .handshakeSucceeded, .closed] {
                let event = try context.await(connected, "\(expected)") { _ in true }
                #expect(event.kind == expected, "\(event) instead of \(expected)")
            }
            context.close()
        }

        @Test("A peer of a type that does not fit is told and refused", arguments: Setup.connected)
        func wrongType(setup: Setup) throws {
            let context = try setup.context()
            let pull = try PullSocket(context, .test)
            let request = try RequestSocket(context, .test)
            let monitors = [pull.monitor(), request.monitor()]
            try request.connect(pull.bind(setup.wildcard))
            // The one who sees it first tells the other, or just hangs up.
            var failures: [SocketEvent.Kind] = []
            let isTold = context.eventually {
                for monitor in monitors {
                    while let event = monitor.poll() {
                        if case .handshakeFailed = event.kind { failures.append(event.kind) }
                    }
                }
                return failures.contains(.handshakeFailed(.incompatibleSocketTypes))
            }
            #expect(isTold, "\(failures)")
            #expect(pull.statistics.peers.isEmpty)
            context.close(timeout: .milliseconds(100))
        }

        @Test("A full queue loses the newest events, with a count", arguments: Setup.tcp)
        func bound(setup: Setup) throws {
            let context = try setup.context()
            let pull = try PullSocket(context, .test)
            let (small, large) = (pull.monitor(bound: 2), pull.monitor())
            for _ in 0..<5 { try pull.bind(setup.wildcard) }
            for _ in 0..<5 { try context.await(large, "listening") { $0 == .listening } }
            #expect(small.lostCount == 3 && large.lostCount == 0)
            #expect(small.poll()?.kind == .listening && small.poll()?.kind == .listening && small.poll() == nil)
            context.close()
        }

        @Test("Events can be iterated until the socket's end", arguments: Setup.engines)
        func iteration(setup: Setup) async throws {
            let context = try setup.context()
            let pull = try PullSocket(context, .test)
            let monitor = pull.monitor()
            let events = Task {
                var kinds: [SocketEvent.Kind] = []; for await event in monitor { kinds.append(event.kind) };
                return kinds
            }
            try pull.bind(setup.wildcard)
            pull.close()
            #expect(await events.value == [.listening, .closed])
            // Asked for after the end, a monitor is over at once.
            let late = pull.monitor()
            #expect(await late.next() == nil)
            context.close()
        }

        @Test("A cancelled task stops waiting for events", arguments: Setup.engines)
        func cancellation(setup: Setup) async throws {
            let context = try setup.context()
            let pull = try PullSocket(context, .test)
            let monitor = pull.monitor()
            let waiting = Task { await monitor.next() }
            waiting.cancel()
            #expect(await waiting.value == nil)
            try pull.bind(setup.wildcard)
            #expect(await monitor.next()?.kind == .listening)
            context.close()
        }

        @Test("A monitor that is dropped is one no more", arguments: Setup.tcp)
        func dropped(setup: Setup) throws {
            let context = try setup.context()
            let pull = try PullSocket(context, .test)
            var kept: SocketMonitor? = pull.monitor()
            for _ in 0..<100 { _ = pull.monitor() }
            #expect(pull.core.monitorCount == 1)
            try pull.bind(setup.wildcard)
            try context.await(kept!, "listening") { $0 == .listening }
            kept = nil
            #expect(pull.core.monitorCount == 0)
            // One that outlives its socket's end has nobody to take leave of.
            let last = pull.monitor()
            pull.close()
            #expect(context.close().isComplete)
            #expect(last.poll()?.kind == .closed)
        }
    }
}
