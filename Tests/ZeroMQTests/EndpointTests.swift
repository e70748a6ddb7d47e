import Glibc
import Proactor
import Testing
import ZeroMQ

extension Sockets {
    @Suite("Endpoints") struct EndpointTests {
        @Test("A wildcard becomes a real endpoint that a peer can connect", arguments: Setup.connected)
        func wildcards(setup: Setup) throws {
            let context = try setup.context()
            let pull = try PullSocket(context, .test)
            #expect(pull.lastEndpoint.isEmpty)
            let bound = try pull.bind(setup.wildcard)
            #expect(bound == pull.lastEndpoint && !bound.contains("*"))
            let push = try PushSocket(context, .test)
            try push.connect(bound)
            #expect(push.lastEndpoint == bound)
            try push.send("here")
            #expect(try pull.receive().string == "here")
            context.close()
        }

        @Test("Any host binds all interfaces", arguments: Setup.tcp)
        func anyHost(setup: Setup) throws {
            let context = try setup.context()
            let pull = try PullSocket(context, .test)
            let bound = try pull.bind("tcp://*:*")
            #expect(bound.hasPrefix("tcp://0.0.0.0:"))
            let push = try PushSocket(context, .test)
            try push.connect("tcp://localhost:\(bound.split(separator: ":").last!)")
            try push.send("by name")
            #expect(try pull.receive().string == "by name")
            context.close()
        }

        @Test(
            "A text that is no endpoint gets an error that says why",
            arguments: [
                ("", "transport"), ("tcp", "transport"), ("tcp://", "port"), ("tcp://127.0.0.1", "port"),
                ("tcp://127.0.0.1:notaport", "notaport"), ("tcp://127.0.0.1:70000", "70000"),
                ("tcp://:5555", "host"),
                ("ipc://", "path"), ("ipc://\(String(repeating: "x", count: 108))", "107"), ("inproc://", "name"),
                ("inproc://\(String(repeating: "n", count: 257))", "256"), ("tcp://a;b:1", "source"),
            ])
        func badTexts(text: String, word: String) throws {
            let context = try Context()
            let pull = try PullSocket(context, .test)
            for act in [{ _ = try pull.bind(text) }, { try pull.connect(text) }, { try pull.unbind(text) }] {
                do {
                    try act()
                    Issue.record("\(text) was accepted")
                } catch {
                    let error = try #require(error as? ZeroMQError)
                    #expect(error.code == .invalidEndpoint)
                    #expect(error.message.contains(word) && error.message.contains(text), "\(error)")
                }
            }
            context.close()
        }

        @Test(
            "An unknown transport is unsupported, by name",
            arguments: ["pgm://x:1", "udp://1.2.3.4:5", "http://a:80"])
        func unknownTransports(text: String) throws {
            let context = try Context()
            let pull = try PullSocket(context, .test)
            expectError(.unsupportedTransport) { try pull.bind(text) }
            expectError(.unsupportedTransport) { try pull.connect(text) }
            context.close()
        }

        @Test("Wildcards cannot be connected, unknown hosts cannot be bound")
        func connectWildcards() throws {
            let context = try Context()
            let push = try PushSocket(context, .test)
            for text in ["tcp://*:5555", "tcp://127.0.0.1:*", "tcp://127.0.0.1:0", "ipc://*"] {
                expectError(.invalidEndpoint) { try push.connect(text) }
            }
            expectError(.bindFailed) { try push.bind("tcp://no-such-host.invalid:5555") }
            expectError(.bindFailed) { try push.bind("tcp://192.0.2.1:*") }
            expectError(.bindFailed) { try push.bind("ipc:///no/such/directory/socket") }
            context.close()
        }

        @Test("An address in use is refused, and the holder goes on", arguments: Setup.all)
        func inUse(setup: Setup) throws {
            let context = try setup.context()
            let one = try PullSocket(context, .test)
            let two = try PullSocket(context, .test)
            let bound = try one.bind(setup.wildcard)
            expectError(.addressInUse) { try two.bind(bound) }
            let push = try PushSocket(context, .test)
            try push.connect(bound)
            try push.send("x")
            #expect(try one.receive().string == "x")
            context.close()
        }

        @Test("Several binds and connects on one socket all carry messages", arguments: Setup.all)
        func several(setup: Setup) throws {
            let context = try setup.context()
            let pull = try PullSocket(context, .test)
            let push = try PushSocket(context, .test)
            for index in 0..<3 {
                try push.connect(pull.bind(setup.wire == .inproc ? "inproc://\(index)" : setup.wildcard))
            }
            let back = try PullSocket(context, .test)
            try back.connect(push.bind(setup.wire == .inproc ? "inproc://back" : setup.wildcard))
            try push.awaitPeers(4, in: context)
            for number in 0..<40 { try push.send("\(number)") }
            for _ in 0..<30 { _ = try pull.receive() }
            for _ in 0..<10 { _ = try back.receive() }
            #expect(try pull.tryReceive() == nil && back.tryReceive() == nil)
            context.close()
        }

        @Test("After unbind nobody gets in, and the address can be bound again", arguments: Setup.all)
        func unbind(setup: Setup) throws {
            let context = try setup.context()
            let one = try PullSocket(context, .test)
            let bound = try one.bind(setup.wildcard)
            try one.unbind(bound)
            expectError(.endpointUnknown) { try one.unbind(bound) }
            let two = try PullSocket(context, .test)
            try two.bind(bound)
            let push = try PushSocket(context, .test)
            try push.connect(bound)
            try push.send("to two")
            #expect(try two.receive().string == "to two")
            #expect(try one.tryReceive() == nil)
            context.close()
        }

        @Test("After disconnect nothing more goes there; what was queued before arrives", arguments: Setup.all)
        func disconnect(setup: Setup) throws {
            let context = try setup.context()
            let push = try PushSocket(context, .test)
            let leaving = try PullSocket(context, .test)
            let staying = try PullSocket(context, .test)
            let endpoint = try leaving.bind(setup.wire == .inproc ? "inproc://leaving" : setup.wildcard)
            try push.connect(endpoint)
            try push.send("before")
            try push.connect(staying.bind(setup.wire == .inproc ? "inproc://staying" : setup.wildcard))
            try push.disconnect(endpoint)
            expectError(.endpointUnknown) { try push.disconnect(endpoint) }
            for number in 0..<20 { try push.send("\(number)") }
            for number in 0..<20 { #expect(try staying.receive().string == "\(number)") }
            #expect(try leaving.receive().string == "before")
            try leaving.awaitPeers(0, in: context)
            #expect(try leaving.tryReceive() == nil)
            #expect(push.statistics.losses.isEmpty)
            context.close()
        }

        @Test(
            "A path left by a dead process is taken over; a path goes with its listener",
            arguments: Setup.background.filter { $0.wire == .ipcPath })
        func stalePath(setup: Setup) throws {
            let path = Setup.temporaryPath()
            let dead = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
            let result = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    Glibc.bind(dead, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
                }
            }
            #expect(result == 0)
            close(dead)
            #expect(access(path, F_OK) == 0)
            let context = try setup.context()
            let pull = try PullSocket(context, .test)
            try pull.bind("ipc://\(path)")
            let push = try PushSocket(context, .test)
            try push.connect("ipc://\(path)")
            try push.send("x")
            #expect(try pull.receive().string == "x")
            context.close()
            #expect(access(path, F_OK) != 0)
        }

        @Test(
            "Options out of range are refused by name",
            arguments: [
                "sendHighWaterMark", "receiveHighWaterMark", "sendByteMark", "receiveByteMark", "backlog",
                "routingID",
                "reconnectInterval", "handshakeTimeout", "maximumMessageSize", "kernelSendBuffer", "connectTimeout",
                "keepAlive.idle", "keepAlive.interval", "keepAlive.count",
            ])
        func options(name: String) throws {
            let context = try Context()
            let options = SocketOptions.test {
                switch name {
                case "sendHighWaterMark": $0.sendHighWaterMark = -1
                case "receiveHighWaterMark": $0.receiveHighWaterMark = 1 << 25
                case "sendByteMark": $0.sendByteMark = 1 << 34
                case "receiveByteMark": $0.receiveByteMark = -1
                case "backlog": $0.backlog = 0
                case "routingID": $0.routingID = [0, 1]
                case "reconnectInterval": $0.reconnectInterval = .zero
                case "handshakeTimeout": $0.handshakeTimeout = .zero
                case "maximumMessageSize": $0.maximumMessageSize = -1
                case "connectTimeout": $0.connectTimeout = .zero
                case "keepAlive.idle": $0.keepAlive = .init(idle: 32_768, interval: 1, count: 1)
                case "keepAlive.interval": $0.keepAlive = .init(idle: 1, interval: 0, count: 1)
                case "keepAlive.count": $0.keepAlive = .init(idle: 1, interval: 1, count: 128)
                default: $0.kernelSendBuffer = 0
                }
            }
            do {
                _ = try PushSocket(context, options)
                Issue.record("\(name) was accepted")
            } catch {
                #expect(error.code == .invalidOption && error.message.contains(name), "\(error)")
            }
            context.close()
        }

        @Test("An address can be bound again as soon as close or unbind returns", arguments: Setup.all)
        func again(setup: Setup) throws {
            let context = try setup.context(loops: setup.drive == .background ? 2 : 1)
            var last = try PullSocket(context, .test)
            let bound = try last.bind(setup.wildcard)
            for round in 0..<30 {
                // With a connection that lives on it is no other.
                let push = try PushSocket(context, .test)
                try push.connect(bound)
                try push.send("x")
                _ = try last.receive()
                if round % 2 == 0 { last.close() } else { try last.unbind(bound) }
                let next = try PullSocket(context, .test)
                try next.bind(bound)
                // The former is dropped while the next holds the address: that must stay.
                last = next
            }
            context.close()
        }

        @Test("A task on a loop does not wait for that loop: the monitor says when", arguments: Setup.engines)
        func againOnLoop(setup: Setup) async throws {
            let context = try setup.context()
            let bound = try await Task(executorPreference: context.executor) {
                let one = try PullSocket(context, .test)
                let monitor = one.monitor()
                let bound = try one.bind(setup.wildcard)
                let start = Deadline.now
                one.close()
                #expect(Deadline.now.since(start) < .milliseconds(900))
                for await event in monitor where event.kind == .closed { break }
                let two = try PullSocket(context, .test)
                return try two.bind(bound)
            }.value
            #expect(!bound.isEmpty)
            context.close()
        }
    }
}
