import Glibc
import Proactor
import Synchronization
import Testing

@testable import ZeroMQ

extension Sockets {
    @Suite("A poller") struct PollerTests {
        private static func end() -> Deadline { .after(.seconds(10)) }

        @Test("reports a socket by each wait until its messages are taken", arguments: Setup.all)
        func level(setup: Setup) throws {
            let context = try setup.context()
            let pull = try PullSocket(context, .test)
            let push = try PushSocket(context, .test)
            try push.connect(pull.bind(setup.wildcard))
            let poller = Poller(context)
            let id = try poller.add(pull, for: .readable)
            #expect(try poller.wait(until: .distantPast).isEmpty)
            #expect(try poller.wait(until: .after(.milliseconds(5))).isEmpty)
            try push.send("1")
            try push.send("2")
            for number in 1...2 {
                for _ in 0..<3 {
                    let events = try poller.wait(until: Self.end())
                    #expect(events.map(\.id) == [id] && events.map(\.ready) == [.readable])
                    guard case .socket(let socket) = events.first?.source else { throw Unexpected() }
                    #expect(socket === pull)
                }
                #expect(try pull.tryReceive()?.string == "\(number)")
                // The second may still be on its way.
                if number == 1 { _ = try poller.wait(until: Self.end()) }
            }
            #expect(try poller.wait(until: .distantPast).isEmpty)
            #expect(try pull.tryReceive() == nil)
            context.close()
        }

        @Test("reports room exactly while a send would be taken", arguments: Setup.all)
        func room(setup: Setup) throws {
            let context = try setup.context()
            let push = try PushSocket(
                context,
                .test {
                    $0.sendHighWaterMark = 2; $0.linger = .zero
                })
            let poller = Poller(context)
            let id = try poller.add(push, for: [.readable, .writable])
            #expect(try poller.wait(until: .distantPast).isEmpty)
            let endpoint = try setup.reserve()
            if setup.wire == .inproc {
                // Inproc adds the marks of both sides once they meet.
                let pull = try PullSocket(context, .test { $0.receiveHighWaterMark = 2 })
                try pull.bind(endpoint)
                try push.connect(endpoint)
                var sent = 0
                while try poller.wait(until: .distantPast).map(\.ready) == [.writable] {
                    #expect(try push.trySend(Message("\(sent)")) == .sent)
                    sent += 1
                }
                #expect(try push.trySend(Message("more")) == .full && sent == 4)
                for number in 0..<4 { #expect(try pull.receive().string == "\(number)") }
                #expect(try poller.wait(until: Self.end()).map(\.ready) == [.writable])
                return _ = context.close()
            }
            try push.connect(endpoint)
            for number in 0..<2 {
                #expect(try poller.wait(until: Self.end()).map(\.ready) == [.writable])
                #expect(try push.trySend(Message("\(number)")) == .sent)
            }
            #expect(try poller.wait(until: .distantPast).isEmpty)
            #expect(try push.trySend(Message("more")) == .full)
            let pull = try PullSocket(context, .test)
            try pull.bind(endpoint)
            let events = try poller.wait(until: Self.end())
            #expect(events.map(\.id) == [id] && events.map(\.ready) == [.writable])
            #expect(try push.trySend(Message("2")) == .sent)
            for number in 0..<3 { #expect(try pull.receive().string == "\(number)") }
            context.close()
        }

        @Test("looks at what has changed, not at all of a thousand sockets", arguments: Setup.engines)
        func many(setup: Setup) throws {
            let setup = Setup(engine: setup.engine, drive: setup.drive, wire: .inproc)
            let context = try setup.context()
            let poller = Poller(context)
            var pairs: [(push: PushSocket, pull: PullSocket)] = []
            var ids: [Poller.ID: Int] = [:]
            for index in 0..<1000 {
                let (push, pull) = (try PushSocket(context, .test), try PullSocket(context, .test))
                try pull.bind("inproc://\(index)")
                try push.connect("inproc://\(index)")
                ids[try poller.add(pull, for: .readable)] = index
                pairs.append((push, pull))
            }
            #expect(poller.count == 1000)
            #expect(try poller.wait(until: .distantPast).isEmpty)
            let before = poller.state.withLock { $0.looks }
            for index in [7, 999, 0, 500] {
                try pairs[index].push.send("x")
                let events = try poller.wait(until: Self.end())
                #expect(events.map { ids[$0.id] } == [index])
                #expect(try pairs[index].pull.tryReceive()?.string == "x")
            }
            #expect(poller.state.withLock { $0.looks } - before <= 16)
            context.close()
        }

        @Test("obeys other threads while it waits", arguments: Setup.background)
        func changes(setup: Setup) throws {
            let context = try setup.context()
            let poller = Poller(context)
            let pull = try PullSocket(context, .test)
            let push = try PushSocket(context, .test)
            try push.connect(pull.bind(setup.wildcard))
            let seen = Shared<Set<Poller.ID>>([])
            let isOver = Shared(false)
            let waiting = Worker {
                while !isOver.value {
                    let events = (try? poller.wait(until: Self.end())) ?? []
                    seen.change { $0.formUnion(events.map(\.id)) }
                }
            }
            func awaits(_ id: Poller.ID, line: Int = #line) {
                #expect(context.eventually { seen.value.contains(id) }, "line \(line)")
            }
            let id = try poller.add(push, for: [])
            let timer = poller.addTimer(at: .now)
            awaits(timer)
            #expect(seen.value == [timer])
            try poller.modify(id, for: .writable)
            awaits(id)
            try poller.remove(id)
            // What the wait that was under way found has been told by the time the next timer is.
            awaits(poller.addTimer(at: .now))
            seen.value = []
            let other = try poller.add(pull, for: .readable)
            try push.send("x")
            awaits(other)
            isOver.value = true
            #expect(waiting.join(within: 20))
            #expect(seen.value == [other] && poller.count == 1)
            expectError(.endpointUnknown) { try poller.remove(id) }
            expectError(.endpointUnknown) { try poller.modify(timer, for: .readable) }
            expectError(.endpointUnknown) { try poller.reset(timer, at: .now) }
            context.close()
        }

        @Test("reports timers when they are due, in their order, each as often as asked", arguments: Setup.tcp)
        func timers(setup: Setup) throws {
            let context = try setup.context()
            let poller = Poller(context)
            let start = Deadline.now
            let late = poller.addTimer(at: start + .milliseconds(30))
            let soon = poller.addTimer(at: start + .milliseconds(10))
            let never = poller.addTimer(at: start + .milliseconds(20))
            let often = poller.addTimer(at: start + .milliseconds(5), every: .milliseconds(50))
            try poller.remove(never)
            var seen: [Poller.ID] = []
            while seen.count < 4 {
                for event in try poller.wait(until: Self.end()) {
                    guard case .timer = event.source else { throw Unexpected() }
                    seen.append(event.id)
                }
            }
            #expect(Deadline.now >= start + .milliseconds(55) && !seen.contains(never))
            #expect(seen.filter { $0 != often } == [soon, late])
            #expect(poller.count == 1)
            try poller.reset(often, at: .now)
            #expect(try poller.wait(until: Self.end()).map(\.id) == [often])
            #expect(poller.count == 0)
            context.close()
        }

        @Test("reports descriptors as poll(2) does, beside sockets", arguments: Setup.tcp)
        func descriptors(setup: Setup) throws {
            let context = try setup.context()
            let poller = Poller(context)
            let pull = try PullSocket(context, .test)
            let push = try PushSocket(context, .test)
            try push.connect(pull.bind(setup.wildcard))
            let stream = try StreamPair()
            let socket = try poller.add(pull, for: .readable)
            let near = try poller.add(descriptor: stream.near, for: .readable)
            expectError(.invalidOption) { try poller.add(descriptor: stream.near, for: .readable) }
            expectError(.invalidOption) { try poller.add(descriptor: 1 << 20, for: .readable) }
            #expect(try poller.wait(until: .after(.milliseconds(5))).isEmpty)
            stream.put()
            for _ in 0..<2 {
                let events = try poller.wait(until: Self.end())
                #expect(events.map(\.id) == [near] && events.map(\.ready) == [.readable])
            }
            stream.take()
            try poller.modify(near, for: [.readable, .writable])
            #expect(try poller.wait(until: Self.end()).map(\.ready) == [.writable])
            try poller.modify(near, for: .readable)
            try push.send("x")
            #expect(try poller.wait(until: Self.end()).map(\.id) == [socket])
            _ = try pull.receive()
            stream.hangUp()
            let last = try poller.wait(until: Self.end())
            #expect(last.map(\.id) == [near] && last[0].ready.isSuperset(of: [.readable, .hangUp]))
            try poller.remove(near)
            #expect(try poller.wait(until: .distantPast).isEmpty)
            // A plain file is always ready.
            let file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC)
            defer { close(file) }
            let always = try poller.add(descriptor: file, for: .readable)
            for _ in 0..<2 { #expect(try poller.wait(until: Self.end()).map(\.id) == [always]) }
            context.close()
        }

        @Test("suspends a task until something is ready", arguments: Setup.tcp, [false, true])
        func tasks(setup: Setup, isOnLoop: Bool) async throws {
            if setup.drive == .callerDriven { return try Self.byTurning(setup) }
            let context = try setup.context()
            let poller = Poller(context)
            let pull = try PullSocket(context, .test)
            let push = try PushSocket(context, .test)
            try push.connect(pull.bind(setup.wildcard))
            let stream = try StreamPair()
            let (near, socket) = (
                try poller.add(descriptor: stream.near, for: .readable), try poller.add(pull, for: .readable)
            )
            let seen = Shared<[Poller.ID]>([])
            // Elsewhere, but not in the pool of the tests: its threads may all be at work for others.
            let elsewhere = try setup.context()
            let task = Task(executorPreference: isOnLoop ? context.executor : elsewhere.executor) {
                while true {
                    for event in try await poller.wait(until: Self.end()) {
                        if event.id == near { stream.take() }
                        if event.id == socket { _ = try pull.tryReceive() }
                        seen.change { $0.append(event.id) }
                    }
                }
            }
            for round in 1...20 {
                if round % 2 == 0 { stream.put() } else { try await push.send("x") }
                #expect(context.eventually { seen.value.count == round })
            }
            #expect(seen.value == (1...20).map { $0 % 2 == 0 ? near : socket })
            task.cancel()
            do {
                try await task.value
            } catch let error as ZeroMQError {
                #expect(error.code == .cancelled)
            }
            #expect(try await poller.wait(until: .after(.milliseconds(5))).isEmpty)
            _ = poller.addTimer(at: .after(.milliseconds(5)))
            #expect(try await poller.wait(until: Self.end()).count == 1)
            context.close()
            elsewhere.close()
        }

        /// A caller-driven context works on one thread only, so nothing may be awaited that resumes elsewhere.
        private static func byTurning(_ setup: Setup) throws {
            let worker = Worker {
                do {
                    let context = try setup.context()
                    let poller = Poller(context)
                    let stream = try StreamPair()
                    let near = try poller.add(descriptor: stream.near, for: .readable)
                    stream.put()
                    #expect(try poller.wait(until: end()).map(\.id) == [near])
                    context.close()
                } catch {
                    Issue.record(error)
                }
            }
            #expect(worker.join(within: 20))
        }

        @Test("tells the end of sockets and of its context", arguments: Setup.background)
        func ends(setup: Setup) throws {
            let context = try setup.context()
            let poller = Poller(context)
            let (one, two) = (try PullSocket(context, .test), try PullSocket(context, .test))
            let id = try poller.add(one, for: .readable)
            try poller.add(two, for: .readable)
            let closing = Worker { one.close() }
            let events = try poller.wait(until: Self.end())
            #expect(events.map(\.id) == [id] && events.map(\.ready) == [.hangUp])
            #expect(closing.join())
            try poller.remove(id)
            let empty = Poller(context)
            let waiting = Worker { expectError(.contextClosed) { _ = try empty.wait(until: Self.end()) } }
            context.close()
            #expect(waiting.join(within: 20))
            #expect(try poller.wait(until: Self.end()).map(\.ready) == [.hangUp])
        }

        @Test("leaves sockets free between waits, for blocking calls too", arguments: Setup.all)
        func between(setup: Setup) throws {
            let context = try setup.context()
            let poller = Poller(context)
            let pull = try PullSocket(context, .test)
            let push = try PushSocket(context, .test)
            try push.connect(pull.bind(setup.wildcard))
            let id = try poller.add(pull, for: .readable)
            for number in 0..<50 {
                #expect(try poller.wait(until: .distantPast).isEmpty)
                try push.send("\(number)")
                // Sleeps, as a rule, on a list that is watched.
                #expect(try pull.receive().string == "\(number)")
            }
            expectError(.timedOut) { _ = try pull.receive(until: .after(.milliseconds(2))) }
            try push.send("last")
            #expect(try poller.wait(until: Self.end()).map(\.id) == [id])
            #expect(try pull.receive().string == "last")
            context.close()
        }

        @Test("knows what REQ and REP allow at the moment", arguments: Setup.all)
        func turns(setup: Setup) throws {
            let context = try setup.context()
            let poller = Poller(context)
            let request = try RequestSocket(context, .test)
            let reply = try ReplySocket(context, .test)
            let raw = try DealerSocket(context, .test)
            let endpoint = try reply.bind(setup.wildcard)
            try request.connect(endpoint)
            try raw.connect(endpoint)
            let asks = try poller.add(request, for: [.readable, .writable])
            let answers = try poller.add(reply, for: [.readable, .writable])
            func expect(_ expected: [Poller.ID: PollEvents], line: Int = #line) throws {
                var found: [Poller.ID: PollEvents] = [:]
                let came = try context.eventually {
                    found = [:]
                    for event in try poller.wait(until: .after(.milliseconds(1))) { found[event.id] = event.ready }
                    return found == expected
                }
                #expect(came, "line \(line): \(found) instead of \(expected)")
            }
            try expect([asks: .writable])
            // Without an envelope it is no request.
            try raw.send("no request")
            try request.send("question")
            try expect([answers: .readable])
            _ = try reply.receive()
            try expect([answers: .writable])
            try raw.send(["", "another"])
            try expect([answers: .writable])
            try reply.send("answer")
            try expect([asks: .readable, answers: .readable])
            #expect(try request.receive().string == "answer")
            try expect([asks: .writable, answers: .readable])
            #expect(try reply.receive().string == "another")
            #expect(reply.statistics.losses == [.unexpected: 1])
            context.close()
        }

        @Test("leaves nobody out when a wait takes few events", arguments: Setup.engines)
        func limit(setup: Setup) throws {
            let context = try setup.context()
            let poller = Poller(context)
            var ids: Set<Poller.ID> = []
            for _ in 0..<7 { ids.insert(try poller.add(RouterSocket(context, .test), for: .writable)) }
            var seen: [Poller.ID] = []
            for _ in 0..<7 { seen += try poller.wait(until: Self.end(), upTo: 2).map(\.id) }
            #expect(seen.count == 14 && Set(seen[..<7]) == ids && Set(seen[7...]) == ids)
            context.close()
        }

        static let seed = UInt64.random(in: 0...(.max))

        @Test("misses no message of several senders, whatever ends its sleep", arguments: Setup.background)
        func stress(setup: Setup) throws {
            print("poller stress seed \(Self.seed)")
            let context = try setup.context(loops: 2)
            let poller = Poller(context)
            let (senders, messages) = (4, 3000)
            var pulls: [Poller.ID: PullSocket] = [:]
            var workers: [Worker] = []
            for sender in 0..<senders {
                let pull = try PullSocket(context, .test)
                let push = try PushSocket(context, .test)
                let wildcard = setup.wire == .inproc ? "inproc://\(sender)" : setup.wildcard
                try push.connect(pull.bind(wildcard))
                pulls[try poller.add(pull, for: .readable)] = pull
                workers.append(
                    Worker {
                        var generator = SeededGenerator(seed: Self.seed &+ UInt64(sender))
                        for number in 0..<messages {
                            try? push.send("\(number)")
                            if Int.random(in: 0..<20, using: &generator) == 0 { sched_yield() }
                        }
                    })
            }
            var counts: [Poller.ID: Int] = [:]
            var generator = SeededGenerator(seed: Self.seed)
            while counts.values.reduce(0, +) < senders * messages {
                let isShort = Bool.random(using: &generator)
                let events = try poller.wait(until: isShort ? .after(.microseconds(50)) : Self.end())
                try #require(isShort || !events.isEmpty, "a wake-up was lost: seed \(Self.seed), \(counts)")
                for event in events {
                    let most = Int.random(in: 1...100, using: &generator)
                    for _ in 0..<most {
                        guard let message = try pulls[event.id]?.tryReceive() else { break }
                        #expect(message.string == "\(counts[event.id, default: 0])")
                        counts[event.id, default: 0] += 1
                    }
                }
            }
            for worker in workers { #expect(worker.join()) }
            context.close()
        }
    }
}

/// A source of a kind that was not asked for.
private struct Unexpected: Error {}

/// Two ends of a stream.
final class StreamPair: Sendable {
    let near: Int32
    let far: Int32

    init() throws {
        var ends: [Int32] = [0, 0]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
            throw Unexpected()
        }
        (near, far) = (ends[0], ends[1])
    }

    deinit {
        close(near)
        close(far)
    }

    /// Makes the near end readable.
    func put() { _ = send(far, "x", 1, 0) }

    /// Takes what `put` did.
    func take() {
        var byte: UInt8 = 0
        _ = recv(near, &byte, 1, Int32(MSG_DONTWAIT))
    }

    func hangUp() { shutdown(far, Int32(SHUT_RDWR)) }
}
