import Testing
import ZeroMQ

extension Sockets {
    @Suite("REQ and REP") struct RequestReplyTests {
        @Test("Each request gets its reply", arguments: Setup.all)
        func turns(setup: Setup) throws {
            let context = try setup.context()
            let reply = try ReplySocket(context, .test)
            let request = try RequestSocket(context, .test)
            try request.connect(reply.bind(setup.wildcard))
            for number in 0..<300 {
                try request.send(["question", Frame("\(number)")])
                #expect(try reply.receive() == ["question", Frame("\(number)")])
                try reply.send("answer \(number)")
                #expect(try request.receive().string == "answer \(number)")
            }
            context.close()
        }

        @Test("Calls out of turn are errors and change nothing", arguments: Setup.all)
        func outOfTurn(setup: Setup) throws {
            let context = try setup.context()
            let reply = try ReplySocket(context, .test)
            let request = try RequestSocket(context, .test)
            try request.connect(reply.bind(setup.wildcard))
            expectError(.wrongState) { _ = try request.receive() }
            expectError(.wrongState) { try reply.send("nobody asked") }
            try request.send("q")
            expectError(.wrongState) { try request.send("q again") }
            #expect(try reply.receive().string == "q")
            expectError(.wrongState) { _ = try reply.receive() }
            try reply.send("a")
            #expect(try request.receive().string == "a")
            context.close()
        }

        @Test("A batch of receives on REQ or REP is the one message there may be", arguments: Setup.all)
        func batches(setup: Setup) throws {
            let context = try setup.context()
            let reply = try ReplySocket(context, .test)
            let request = try RequestSocket(context, .test)
            try request.connect(reply.bind(setup.wildcard))
            try request.send("q")
            #expect(try reply.receive(upTo: 8).map(\.string) == ["q"])
            try reply.send("a")
            #expect(try request.receive(upTo: 8).map(\.string) == ["a"])
            context.close()
        }

        @Test("Two who ask get their own answers", arguments: Setup.all)
        func manyAskers(setup: Setup) throws {
            let context = try setup.context()
            let reply = try ReplySocket(context, .test)
            let endpoint = try reply.bind(setup.wildcard)
            let askers = try (0..<4).map { _ in try RequestSocket(context, .test) }
            for asker in askers { try asker.connect(endpoint) }
            for round in 0..<20 {
                for (index, asker) in askers.enumerated() { try asker.send("\(round) \(index)") }
                for _ in askers { try reply.send("re \(reply.receive().string)") }
                for (index, asker) in askers.enumerated() {
                    #expect(try asker.receive().string == "re \(round) \(index)")
                }
            }
            context.close()
        }

        @Test("REQ asks its peers in turn", arguments: Setup.all)
        func roundRobin(setup: Setup) throws {
            let context = try setup.context()
            let request = try RequestSocket(context, .test)
            var replies: [ReplySocket] = []
            for index in 0..<3 {
                let reply = try ReplySocket(context, .test)
                try request.connect(reply.bind(setup.wire == .inproc ? "inproc://\(index)" : setup.wildcard))
                replies.append(reply)
            }
            for round in 0..<9 {
                try request.send("\(round)")
                #expect(try replies[round % 3].receive().string == "\(round)")
                try replies[round % 3].send("a")
                _ = try request.receive()
            }
            context.close()
        }

        @Test("Relaxed and correlated, a late answer to an old question is passed over", arguments: Setup.all)
        func relaxed(setup: Setup) throws {
            let context = try setup.context()
            let router = try RouterSocket(context, .test)
            let request = try RequestSocket(
                context,
                .test {
                    $0.isRequestRelaxed = true
                    $0.isRequestCorrelated = true
                })
            try request.connect(router.bind(setup.wildcard))
            try request.send("old")
            let old = try router.receive()
            #expect(old.count == 4 && old[1].count == 4 && old[2].isEmpty && old[3].string == "old")
            try request.send("new")
            let new = try router.receive()
            #expect(new[3].string == "new" && new[1] != old[1])
            try router.send([old[0], old[1], old[2], "late"])
            try router.send([new[0], new[1], new[2], "timely"])
            #expect(try request.receive().string == "timely")
            #expect(request.statistics.losses == [.unexpected: 1])
            context.close()
        }

        @Test("A request without an envelope is dropped and counted", arguments: Setup.all)
        func noEnvelope(setup: Setup) throws {
            let context = try setup.context()
            let reply = try ReplySocket(context, .test)
            let dealer = try DealerSocket(context, .test)
            try dealer.connect(reply.bind(setup.wildcard))
            try dealer.send("no delimiter")
            try dealer.send(["one", "two"])
            try dealer.send(["", "good"])
            #expect(try reply.receive().string == "good")
            #expect(reply.statistics.losses == [.unexpected: 2])
            try reply.send("fine")
            #expect(try dealer.receive() == ["", "fine"])
            context.close()
        }

        @Test("An answer for an asker who has gone is counted, and REP goes on", arguments: Setup.connected)
        func askerGone(setup: Setup) throws {
            let context = try setup.context()
            let reply = try ReplySocket(context, .test)
            let endpoint = try reply.bind(setup.wildcard)
            let request = try RequestSocket(context, .test)
            try request.connect(endpoint)
            try request.send("q")
            _ = try reply.receive()
            request.close()
            try reply.awaitPeers(0, in: context)
            try reply.send("too late")
            #expect(reply.statistics.losses == [.peerGone: 1])
            let next = try RequestSocket(context, .test)
            try next.connect(endpoint)
            try next.send("q2")
            #expect(try reply.receive().string == "q2")
            context.close()
        }
    }
}
