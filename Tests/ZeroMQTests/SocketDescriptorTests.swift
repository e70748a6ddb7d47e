import Glibc
import Proactor
import Synchronization
import Testing

@testable import ZeroMQ

extension Sockets {
    @Suite("A socket's descriptor") struct SocketDescriptorTests {
        /// What poll(2) says at once, or after up to so many milliseconds.
        static func isReadable(_ descriptor: SocketDescriptor, within milliseconds: Int32 = 0) -> Bool {
            var item = pollfd(fd: descriptor.number, events: Int16(POLLIN), revents: 0)
            return poll(&item, 1, milliseconds) == 1 && item.revents & Int16(POLLIN) != 0
        }

        @Test("is readable exactly while a message can be taken", arguments: Setup.background)
        func readable(setup: Setup) throws {
            let context = try setup.context()
            let pull = try PullSocket(context, .test)
            let push = try PushSocket(context, .test)
            let early = try pull.descriptor()
            #expect(!Self.isReadable(early))
            try push.connect(pull.bind(setup.wildcard))
            for round in 0..<20 {
                try push.send("1")
                #expect(Self.isReadable(early, within: 10_000))
                #expect(Self.isReadable(early))
                if round % 3 == 0 {
                    try push.send("2")
                    #expect(context.eventually { pull.statistics.messagesToTake == 2 })
                    #expect(try pull.receive().string == "1")
                    #expect(Self.isReadable(early))
                    try pull.receive { _, _ in }
                } else {
                    #expect(try pull.tryReceive()?.string == "1")
                }
                #expect(!Self.isReadable(early))
                #expect(try pull.tryReceive() == nil)
                #expect(!Self.isReadable(early))
            }
            // A wait that ends in vain changes nothing, and neither does one that got its message.
            expectError(.timedOut) { _ = try pull.receive(until: .after(.milliseconds(2))) }
            #expect(!Self.isReadable(early))
            let late = try pull.descriptor()
            #expect(late.number == early.number)
            try push.send("3")
            #expect(try pull.receive().string == "3" && !Self.isReadable(early))
            pull.close()
            #expect(Self.isReadable(early))
            expectError(.socketClosed) { _ = try pull.descriptor() }
            context.close()
        }

        @Test("is readable exactly while a send would be taken, if asked for that", arguments: Setup.background)
        func writable(setup: Setup) throws {
            let context = try setup.context()
            let push = try PushSocket(
                context,
                .test {
                    $0.sendHighWaterMark = 2; $0.linger = .zero
                })
            let descriptor = try push.descriptor(for: .writable)
            #expect(!Self.isReadable(descriptor))
            let pull = try PullSocket(context, .test { $0.receiveHighWaterMark = 2 })
            try push.connect(pull.bind(setup.wildcard))
            #expect(Self.isReadable(descriptor, within: 10_000))
            var sent = 0
            for _ in 0..<3 {
                let body = Message([UInt8](repeating: 1, count: 200_000))
                while Self.isReadable(descriptor, within: 100) {
                    #expect(try push.trySend(body) == .sent)
                    sent += 1
                }
                #expect(try push.trySend(body) == .full)
                while sent > 0 {
                    #expect(try pull.receive()[0].count == 200_000)
                    sent -= 1
                }
                #expect(Self.isReadable(descriptor, within: 10_000))
            }
            context.close()
        }

        @Test(
            "of both is readable while either holds, and knows the turns of REQ and REP", arguments: Setup.engines)
        func turns(setup: Setup) throws {
            let context = try setup.context()
            let (request, reply) = (try RequestSocket(context, .test), try ReplySocket(context, .test))
            let asks = try request.descriptor(for: .writable)
            let both = try request.descriptor(for: [.readable, .writable])
            let answers = try reply.descriptor()
            #expect(![asks, both, answers].contains { Self.isReadable($0) })
            try request.connect(reply.bind(setup.wildcard))
            for _ in 0..<5 {
                #expect(Self.isReadable(asks, within: 10_000) && Self.isReadable(both))
                try request.send("question")
                #expect(!Self.isReadable(asks))
                #expect(Self.isReadable(answers, within: 10_000))
                _ = try reply.receive()
                #expect(!Self.isReadable(answers) && !Self.isReadable(both))
                try reply.send("answer")
                #expect(!Self.isReadable(answers))
                #expect(Self.isReadable(both, within: 10_000) && !Self.isReadable(asks))
                _ = try request.receive()
            }
            context.close()
        }

        @Test("is refused where nobody would tell it", arguments: Setup.tcp.filter { $0.drive == .callerDriven })
        func callerDriven(setup: Setup) throws {
            let context = try setup.context()
            let pull = try PullSocket(context, .test)
            expectError(.wrongThread) { _ = try pull.descriptor() }
            context.close()
        }

        @Test("misses nothing while others send", arguments: Setup.background)
        func stress(setup: Setup) throws {
            let context = try setup.context()
            let pull = try PullSocket(context, .test)
            let push = try PushSocket(context, .test)
            let descriptor = try pull.descriptor()
            try push.connect(pull.bind(setup.wildcard))
            let count = 5000
            let sending = Worker { for number in 0..<count { try? push.send("\(number)") } }
            var next = 0
            while next < count {
                try #require(Self.isReadable(descriptor, within: 10_000), "a wake-up was lost at \(next)")
                // Not all that is there: what is left must show.
                for _ in 0..<3 {
                    guard let message = try pull.tryReceive() else { break }
                    #expect(message.string == "\(next)")
                    next += 1
                }
            }
            #expect(sending.join() && !Self.isReadable(descriptor))
            context.close()
        }
    }
}
