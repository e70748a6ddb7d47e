import Glibc
import Proactor
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

        /// All events up to the first that fits.
        private static func events(
            of monitor: SocketMonitor, in context: Context, until fits: (SocketEvent.Kind) -> Bool,
            sourceLocation: SourceLocation = #_sourceLocation
        ) throws -> [SocketEvent] {
            var events: [SocketEvent] = []
            let isThere = context.eventually {
                while let event = monitor.poll() {
                    events.append(event)
                    if fits(event.kind) { return true }
                }
                return false
            }
            try #require(isThere, "only \(events)", sourceLocation: sourceLocation)
            return events
        }

        @Test("An attempt that is refused tells why, then when the next one comes", arguments: Setup.connected)
        func refused(setup: Setup) throws {
            let context = try setup.context()
            let push = try PushSocket(context, .test)
            let endpoint = try setup.reserve()
            let monitor = push.monitor()
            try push.connect(endpoint)
            let isRetry = { (kind: SocketEvent.Kind) in if case .connectRetried = kind { true } else { false } }
            for _ in 0..<2 {
                let events = try Self.events(of: monitor, in: context, until: isRetry)
                try #require(events.count == 3, "\(events)")
                #expect(events[0].kind == .connectDelayed && events[0].libzmq?.id == 0x0002)
                let error = setup.wire == .ipcPath ? SystemError(code: ENOENT) : .connectionRefused
                #expect(events[1].kind == .connectFailed(error))
                #expect(
                    events[1].libzmq == LibzmqEvent(id: 0x0080, values: [UInt64(events[0].descriptor)]))
                guard case .connectRetried(let pause) = events[2].kind else { continue }
                #expect(pause >= .milliseconds(10) && pause < .milliseconds(13))
                #expect(events[2].libzmq == LibzmqEvent(id: 0x0004, values: [pause.nanoseconds / 1_000_000]))
                #expect(events.allSatisfy { $0.endpoint == endpoint && $0.remoteEndpoint == endpoint })
            }
            let pull = try PullSocket(context, .test)
            try pull.bind(endpoint)
            let made = try Self.events(of: monitor, in: context) { $0 == .handshakeSucceeded }
            #expect(made.suffix(3).map(\.kind) == [.connectDelayed, .connected, .handshakeSucceeded])
            context.close()
        }

        @Test("A bind that fails is told with the error, and thrown", arguments: Setup.engines)
        func bindFailed(setup: Setup) throws {
            let context = try setup.context()
            let (pull, other) = (try PullSocket(context, .test), try PullSocket(context, .test))
            let monitor = other.monitor()
            let taken = try pull.bind(setup.wildcard)
            expectError(.addressInUse) { try other.bind(taken) }
            let event = try #require(monitor.poll())
            #expect(event.kind == .bindFailed(.addressInUse) && event.endpoint == taken)
            #expect(event.libzmq == LibzmqEvent(id: 0x0010, values: [UInt64(EADDRINUSE)]))
            #expect(event.localEndpoint == taken && event.remoteEndpoint == "")
            expectError(.bindFailed) { try other.bind("tcp://no-such-host.invalid:1") }
            #expect(monitor.poll()?.libzmq == LibzmqEvent(id: 0x0010, values: [UInt64(ENODEV)]))
            context.close()
        }

        @Test("Each way in which a handshake fails has its event and its code", arguments: Setup.engines)
        func handshakes(setup: Setup) throws {
            let context = try setup.context()
            let pull = try PullSocket(context, .test { $0.handshakeTimeout = .milliseconds(200) })
            let monitor = pull.monitor()
            let endpoint = try pull.bind(setup.wildcard)
            let ready = RawPeer.ready("PUSH")
            let plain: [UInt8] = RawPeer.greeting.prefix(12) + Array("PLAIN".utf8) + RawPeer.greeting.suffix(47)
            func error(_ reason: String) -> [UInt8] {
                RawPeer.frame([5] + Array("ERROR".utf8) + [UInt8(reason.utf8.count)] + Array(reason.utf8), flags: 4)
            }
            struct Case {
                let octets: [UInt8]
                let kind: SocketEvent.Kind
                let id: UInt64
                let value: UInt64
                var detail: String?
            }
            let cases = [
                Case(octets: [], kind: .handshakeBroken(nil), id: 0x0800, value: UInt64(EPIPE)),
                Case(
                    octets: plain, kind: .handshakeFailed(.mechanismMismatch), id: 0x2000, value: 0x1100_0002),
                Case(
                    octets: RawPeer.greeting + RawPeer.frame([1]),
                    kind: .handshakeFailed(.messageDuringHandshake), id: 0x2000, value: 0x1000_0001),
                Case(
                    octets: RawPeer.greeting + RawPeer.frame(Array(ready[2..<20]), flags: 4),
                    kind: .handshakeFailed(.malformedProperty), id: 0x2000, value: 0x1000_0018),
                Case(
                    octets: RawPeer.greeting + RawPeer.ready("PULL"),
                    kind: .handshakeFailed(.incompatibleSocketTypes), id: 0x2000, value: 0x1000_0018),
                Case(
                    octets: RawPeer.greeting + error("not today"), kind: .handshakeFailed(.refusedByPeer),
                    id: 0x2000, value: 0x1000_0000, detail: "not today"),
                Case(
                    octets: RawPeer.greeting + error("400"), kind: .authenticationFailed(status: 400),
                    id: 0x4000, value: 400),
                Case(octets: RawPeer.greeting, kind: .handshakeTimedOut, id: 0x0800, value: UInt64(ETIMEDOUT)),
            ]
            for each in cases {
                var peer: RawPeer? = try RawPeer(endpoint)
                try peer?.send(each.octets)
                if each.octets.isEmpty {
                    // With the first of its greeting taken, so that the end is orderly: the rest follows ours.
                    _ = try peer?.receive(10)
                    peer = nil
                }
                let events = try Self.events(of: monitor, in: context) {
                    if case .disconnected = $0 { true } else { false }
                }
                let seen = events.drop { $0.kind == .listening }
                try #require(seen.count == 3, "\(events)")
                let (accepted, failed, ended) = (seen.dropFirst(0).first!, seen.dropFirst(1).first!, seen.last!)
                #expect(accepted.kind == .accepted && failed.kind == each.kind && failed.detail == each.detail)
                #expect(failed.libzmq == LibzmqEvent(id: each.id, values: [each.value]))
                #expect(ended.libzmq == LibzmqEvent(id: 0x0200, values: [UInt64(accepted.descriptor)]))
                #expect(accepted.descriptor == failed.descriptor && accepted.descriptor >= 0)
                withExtendedLifetime(peer) {}
            }
            context.close()
        }

        @Test("Events of both ends name the same two addresses", arguments: Setup.tcp)
        func addresses(setup: Setup) throws {
            let context = try setup.context()
            let (pull, push) = (try PullSocket(context, .test), try PushSocket(context, .test))
            let (bound, connected) = (pull.monitor(), push.monitor())
            try push.connect(pull.bind("tcp://*:*").replacing("0.0.0.0", with: "127.0.0.1"))
            let (here, there) = (
                try context.await(bound) { $0 == .handshakeSucceeded },
                try context.await(connected) { $0 == .handshakeSucceeded }
            )
            #expect(here.localEndpoint == there.remoteEndpoint && here.remoteEndpoint == there.localEndpoint)
            #expect(here.localEndpoint.hasPrefix("tcp://127.0.0.1:") && here.endpoint.hasPrefix("tcp://0.0.0.0:"))
            #expect(here.descriptor >= 0 && there.descriptor >= 0 && here.descriptor != there.descriptor)
            context.close()
        }

        @Test("Queue lengths are told on demand, to each listener", arguments: Setup.engines)
        func queues(setup: Setup) throws {
            let context = try setup.context()
            let (pull, push) = (try PullSocket(context, .test), try PushSocket(context, .test))
            let monitors = [pull.monitor(), pull.monitor()]
            try push.connect(pull.bind(setup.wildcard))
            for _ in 0..<3 { try push.send("x") }
            let isThere = context.eventually { pull.statistics.messagesToTake == 3 }
            #expect(isThere)
            pull.reportQueues()
            for monitor in monitors {
                let event = try context.await(monitor) { if case .queues = $0 { true } else { false } }
                #expect(event.libzmq == LibzmqEvent(id: 0x1_0000, values: [0, 3]))
            }
            context.close()
        }

        @Test(
            "Thousands of events nobody takes cost a bounded queue, and their loop nothing",
            arguments: Setup.engines)
        func flood(setup: Setup) throws {
            let context = try setup.context()
            let pull = try PullSocket(context, .test)
            let monitor = pull.monitor(bound: 100)
            for number in 0..<5000 { pull.core.report(.acceptFailed(SystemError(code: Int32(number))), "e") }
            #expect(monitor.lostCount == 4900)
            // What is taken makes room again, in a ring that has gone round.
            for round in 0..<3 {
                for _ in 0..<60 { #expect(monitor.poll() != nil) }
                for number in 0..<60 {
                    pull.core.report(.acceptFailed(SystemError(code: Int32(1000 * round + number))), "e")
                }
            }
            var last: [SocketEvent.Kind] = []
            while let event = monitor.poll() { last.append(event.kind) }
            #expect(last.count == 100 && monitor.lostCount == 4900)
            #expect(last.suffix(60) == (0..<60).map { .acceptFailed(SystemError(code: 2000 + $0)) })
            context.close()
        }

        @Test("Every kind has libzmq's number, or none for a reason")
        func numbers() {
            let error = SystemError(code: 5)
            let kinds: [(SocketEvent.Kind, UInt64?, UInt64)] = [
                (.connected, 0x1, 7), (.connectDelayed, 0x2, 115), (.connectRetried(after: .seconds(2)), 0x4, 2000),
                (.listening, 0x8, 7), (.bindFailed(error), 0x10, 5), (.accepted, 0x20, 7),
                (.acceptFailed(error), 0x40, 5), (.closed, 0x80, 7), (.connectFailed(error), 0x80, 7),
                (.closeFailed(error), 0x100, 5), (.disconnected(error), 0x200, 7),
                (.handshakeBroken(error), 0x800, 5), (.handshakeTimedOut, 0x800, 110),
                (.handshakeSucceeded, 0x1000, 0),
                (.handshakeFailed(.reservedFlags), 0x2000, 0x1000_0012),
                (.authenticationFailed(status: 300), 0x4000, 300),
                (.lost(1, .mark), nil, 0), (.peerRefused(""), nil, 0), (.protocolViolation(.reservedFlags), nil, 0),
                (.heartbeatTimedOut, nil, 0),
            ]
            for (kind, id, value) in kinds {
                let event = SocketEvent(kind, EventPlace(endpoint: "tcp://a:1", descriptor: 7))
                #expect(event.libzmq == id.map { LibzmqEvent(id: $0, values: [value]) }, "\(kind)")
                #expect(SocketEvent(kind, EventPlace(endpoint: "inproc://a", descriptor: 7)).libzmq == nil)
            }
        }
    }
}
