import Glibc
import Proactor
import Testing
import ZeroMQ

extension Sockets {
    @Suite("Dropping the last reference") struct DropTests {
        @Test("to context and socket sends what is unsent, as a close would", arguments: Setup.connected)
        func delivers(setup: Setup) throws {
            let endpoint = try setup.reserve()
            let isQueued = Shared(false)
            // The other side comes only when the drop has begun to wait.
            let receiver = Worker {
                guard let context = try? setup.context(), let pull = try? PullSocket(context, .test) else { return }
                while !isQueued.value { sched_yield() }
                _ = try? pull.bind(endpoint)
                for number in 0..<100 { #expect((try? pull.receive())?.string == "\(number)") }
                context.close()
            }
            do {
                let push = try PushSocket(setup.context(), .test { $0.linger = .seconds(10) })
                try push.connect(endpoint)
                for number in 0..<100 { try push.send("\(number)") }
                isQueued.value = true
            }
            #expect(receiver.join())
        }

        @Test("to a context alone ends nothing: its sockets hold it", arguments: Setup.all)
        func socketsHold(setup: Setup) throws {
            let (push, pull) = try {
                let context = try setup.context()
                return (try PushSocket(context, .test), try PullSocket(context, .test))
            }()
            try push.connect(pull.bind(setup.wildcard))
            for number in 0..<10 {
                try push.send("\(number)")
                #expect(try pull.receive().string == "\(number)")
            }
        }

        @Test("waits no longer than linger, whoever is there", arguments: Setup.connected)
        func bounded(setup: Setup) throws {
            let start = Deadline.now
            do {
                let push = try PushSocket(setup.context(), .test { $0.linger = .milliseconds(30) })
                try push.connect(setup.reserve())
                try push.send("nobody")
            }
            #expect(Deadline.now.since(start) < .seconds(5))
        }

        @Test("on a loop's own thread sends in the background", arguments: Setup.engines)
        func onLoop(setup: Setup) async throws {
            let receiving = try setup.context()
            let pull = try PullSocket(receiving, .test)
            let endpoint = try pull.bind(setup.wildcard)
            let made = Shared<PushSocket?>(nil)
            do {
                let context = try setup.context()
                made.value = try PushSocket(context, .test)
                let task = Task(executorPreference: context.executor) {
                    try made.value?.connect(endpoint)
                    try await made.value?.send("last words")
                    made.value = nil
                }
                // Nobody but the task holds the context from here on.
                _ = consume context
                try await task.value
            }
            #expect(try await pull.receive().string == "last words")
            receiving.close()
        }

        @Test("to a socket gives what it bound free", arguments: Setup.all)
        func releases(setup: Setup) throws {
            let context = try setup.context()
            var bound = setup.wildcard
            for _ in 0..<10 { bound = try PullSocket(context, .test).bind(bound) }
            context.close()
        }

        @Test(
            "does not lengthen a close: what lingers without end is counted when time is up",
            arguments: Setup.connected)
        func hurried(setup: Setup) throws {
            let context = try setup.context()
            let endpoint = try setup.reserve()
            do {
                let push = try PushSocket(context, .test { $0.linger = nil })
                try push.connect(endpoint)
                for _ in 0..<7 { try push.send("nobody") }
            }
            let report = context.close(timeout: .milliseconds(50))
            #expect(report.isComplete, "\(report)")
            #expect(report.undelivered.map(\.endpoint) == [endpoint])
            #expect(report.undelivered.map(\.messages) == [7])
        }
    }
}
