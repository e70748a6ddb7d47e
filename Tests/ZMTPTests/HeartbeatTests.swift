import Testing

@testable import ZMTP

@Suite("Connection Heartbeating")
struct HeartbeatTests {
    @Test("Without interval and time-to-live there is nothing to wait for")
    func off() {
        var heartbeat = Heartbeat(interval: 0, timeout: 5, now: 100)
        #expect(heartbeat.deadline == nil)
        #expect(heartbeat.expire(now: .max) == .none)
    }

    @Test("A PING goes out at each interval; a late call sends one, not all it missed")
    func pings() {
        var heartbeat = Heartbeat(interval: 10, timeout: 1000, now: 100)
        #expect(heartbeat.deadline == 110)
        #expect(heartbeat.expire(now: 109) == .none)
        #expect(heartbeat.expire(now: 110) == .ping)
        #expect(heartbeat.deadline == 120)
        #expect(heartbeat.expire(now: 155) == .ping)
        #expect(heartbeat.expire(now: 155) == .none)
        #expect(heartbeat.deadline == 165)
    }

    @Test("A PING that gets no octet within the timeout means death, counted from the oldest one")
    func unanswered() {
        var heartbeat = Heartbeat(interval: 10, timeout: 25, now: 0)
        #expect(heartbeat.expire(now: 10) == .ping)
        #expect(heartbeat.expire(now: 20) == .ping)
        #expect(heartbeat.expire(now: 30) == .ping)
        #expect(heartbeat.deadline == 35)
        #expect(heartbeat.expire(now: 34) == .none)
        #expect(heartbeat.expire(now: 35) == .dead)
    }

    @Test("Any traffic counts as life, not only PONG")
    func life() {
        var heartbeat = Heartbeat(interval: 10, timeout: 25, now: 0)
        #expect(heartbeat.expire(now: 10) == .ping)
        heartbeat.received(now: 34)
        #expect(heartbeat.expire(now: 35) == .ping)
        #expect(heartbeat.expire(now: 59) == .ping)
        #expect(heartbeat.expire(now: 60) == .dead)
    }

    @Test("A timeout of zero is the interval, as in libzmq")
    func defaultTimeout() {
        var heartbeat = Heartbeat(interval: 10, now: 0)
        #expect(heartbeat.expire(now: 10) == .ping)
        #expect(heartbeat.expire(now: 20) == .dead)
    }

    @Test("A received non-zero time-to-live that passes without traffic means death, with no PINGs of our own")
    func ttl() {
        var heartbeat = Heartbeat(interval: 0, now: 0)
        heartbeat.receivedPing(ttl: 10, now: 5)
        #expect(heartbeat.deadline == 1_000_000_005)
        heartbeat.received(now: 7)
        #expect(heartbeat.expire(now: 1_000_000_006) == .none)
        #expect(heartbeat.expire(now: 1_000_000_007) == .dead)
        heartbeat.receivedPing(ttl: 0, now: 1_000_000_007)
        #expect(heartbeat.deadline == nil)
    }

    @Test("While paused at the mark the time-outs stand still and own PINGs go on")
    func pause() {
        var heartbeat = Heartbeat(interval: 10, timeout: 25, now: 0)
        #expect(heartbeat.expire(now: 10) == .ping)
        heartbeat.pause(now: 20)
        #expect(heartbeat.expire(now: 40) == .ping)
        #expect(heartbeat.expire(now: 1000) == .ping)
        heartbeat.resume(now: 1005)
        // 10 of 25 had passed before the pause.
        #expect(heartbeat.expire(now: 1019) == .ping)
        #expect(heartbeat.deadline == 1020)
        #expect(heartbeat.expire(now: 1020) == .dead)
    }

    @Test(
        "A PING sent while paused has its whole time after the pause, and the peer's time-to-live stands still too")
    func pauseEdges() {
        var heartbeat = Heartbeat(interval: 10, timeout: 25, now: 0)
        heartbeat.pause(now: 5)
        #expect(heartbeat.expire(now: 10) == .ping)
        heartbeat.pause(now: 50)
        heartbeat.resume(now: 100)
        #expect(heartbeat.expire(now: 124) == .ping)
        #expect(heartbeat.expire(now: 125) == .dead)

        var patient = Heartbeat(interval: 0, now: 0)
        patient.receivedPing(ttl: 1, now: 0)
        patient.pause(now: 60_000_000)
        #expect(patient.deadline == nil)
        patient.resume(now: 500_000_000)
        #expect(patient.deadline == 540_000_000)
        patient.resume(now: 900_000_000)
        #expect(patient.deadline == 540_000_000)
    }

    @Test("Huge spans saturate instead of wrapping")
    func saturation() {
        var heartbeat = Heartbeat(interval: .max, timeout: .max, ttl: 1, now: 7)
        #expect(heartbeat.deadline == nil)
        heartbeat.receivedPing(ttl: .max, now: .max - 1)
        #expect(heartbeat.expire(now: .max - 1) == .none)
    }
}
