"""A stock libzmq peer that tests script: one JSON object a line on standard input, one JSON answer a line.

Every request has "do"; most name a socket with "on". An answer is {"ok": true, ...} or {"error": NAME, "text": ...},
where NAME is the errno's ("EAGAIN" when a timeout, in milliseconds, ran out). End of input ends the process.

  socket   on, type ("PUSH"), options {"SNDHWM": 1, "SUBSCRIBE": "a" or {"data": base64} or a list of such}
  set      on, options
  bind, connect, unbind, disconnect   on, endpoint            -> endpoint (the last endpoint, wildcards resolved)
  send     on, frames, [count], [timeout]                     -> sent
  receive  on, [timeout], [whole]                             -> frames; above `whole` bytes only size, crc32, seed
  expect   on, count, seed, size, [parts], [skip], [timeout]  -> received, wrong (null, or the first difference)
  drain    on, [timeout], [limit]                             -> received (until `timeout` passes in silence)
  fill     on, frames, [limit]                                -> sent (until it would block)
  echo     on, count, [timeout]                               -> echoed (whole messages, routing ids included)
  poll     on, [timeout]                                      -> readable, writable
  monitor  on      then   event  on, name, [timeout]          -> value, endpoint, skipped (names of other events);
           name may be several, with | between them: the first that comes is told as `event`
  statistics  on   -> sent, received, sent_bytes, received_bytes (messages and body bytes by this program), endpoint
  close    on, [linger]
  exit     status  -> no answer: the process ends at once, as in a crash

Plain TCP sockets, for peers of ZMTP versions that libzmq no longer speaks, and for cuts at a chosen byte:

  raw-listen   on, endpoint, [size]      -> endpoint; size is that of the kernel's receive buffer
  raw-accept   on, from (a listener)     raw-connect  on, endpoint
  raw-send     on, frames (sent one behind the other, without any framing)
  raw-receive  on, size, [whole]         -> frames: one of exactly `size` bytes; "EPIPE" if the stream ends before
  raw-rest     on                        -> frames: one with all bytes until the stream ends
  raw-close    on
  relay        on, endpoint              -> endpoint: connections to it are carried on to the one given
  relay-count  on, text, count           -> value: occurrences of the text in what came back, once there are `count`

A frame is {"data": base64}, {"text": string} or {"size": bytes, "seed": number}: a generated body, which both sides
can make and recognise. With `count` above 1 the seeds of generated frames go on by the number of such frames.
"""

import base64
import errno
import json
import functools
import os
import select
import socket as plain
import struct
import sys
import threading
import zlib

import zmq
from zmq.utils.monitor import parse_monitor_message

PERIOD = 65521  # a prime, so that no shift by a block or page size goes unnoticed


def generated(seed, size):
    """The seed (8 bytes, little endian), then bytes of a congruential generator, repeated with PERIOD."""
    head = struct.pack("<Q", seed & 0xFFFFFFFFFFFFFFFF)
    repeats = max(size - 8 + PERIOD - 1, 0) // PERIOD
    return (head + stream(seed, min(max(size - 8, 0), PERIOD)) * repeats)[:size]


@functools.lru_cache(maxsize=64)
def stream(seed, count):
    state = seed & 0xFFFFFFFFFFFFFFFF
    octets = bytearray()
    for _ in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) & 0xFFFFFFFFFFFFFFFF
        octets.append(state >> 56)
    return bytes(octets)


def body(frame, step):
    if "size" in frame:
        return generated(frame.get("seed", 0) + step, frame["size"])
    if "text" in frame:
        return frame["text"].encode()
    return base64.b64decode(frame["data"])


def described(frame, whole):
    """A frame for the answer: small ones as they are, large ones so that the test can tell what they were."""
    if len(frame) <= whole:
        return {"size": len(frame), "data": base64.b64encode(frame).decode()}
    seed = struct.unpack("<Q", frame[:8])[0] if len(frame) >= 8 else None
    answer = {"size": len(frame), "crc32": zlib.crc32(frame)}
    if seed is not None and seed < 1 << 53 and frame == generated(seed, len(frame)):
        answer["seed"] = seed
    return answer


class Peer:
    def __init__(self, kind):
        self.socket = zmq.Context.instance().socket(getattr(zmq, kind))
        self.socket.linger = 0
        self.counts = dict(sent=0, received=0, sent_bytes=0, received_bytes=0)
        self.events = None

    def send(self, frames, timeout):
        """All or nothing: libzmq refuses a message at its first part."""
        self.socket.sndtimeo = timeout
        self.socket.send_multipart(frames, copy=True)
        self.counts["sent"] += 1
        self.counts["sent_bytes"] += sum(map(len, frames))

    def receive(self, timeout):
        self.socket.rcvtimeo = timeout
        frames = self.socket.recv_multipart()
        self.counts["received"] += 1
        self.counts["received_bytes"] += sum(map(len, frames))
        return frames

    def set(self, options):
        for name, values in options.items():
            for value in values if isinstance(values, list) else [values]:
                if isinstance(value, dict):
                    value = base64.b64decode(value["data"])
                elif isinstance(value, str):
                    value = value.encode()
                self.socket.setsockopt(getattr(zmq, name), value)

    @property
    def endpoint(self):
        return self.socket.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\0").decode()


peers = {}


def until_refused(action, limit):
    done = 0
    try:
        while done < limit:
            action(done)
            done += 1
    except zmq.Again:
        pass
    return done


def perform(request):
    verb = request["do"]
    timeout = request.get("timeout", 10_000)
    if verb == "exit":
        os._exit(request.get("status", 0))
    if verb == "socket":
        peer = peers[request["on"]] = Peer(request["type"])
        peer.set(request.get("options", {}))
        return {}

    if verb.startswith("raw-"):
        return perform_raw(verb, request, timeout / 1000)
    if verb == "relay":
        relay = relays[request["on"]] = Relay(request["endpoint"])
        return {"endpoint": relay.endpoint}
    if verb == "relay-count":
        return relays[request["on"]].count(request["text"].encode(), request["count"], timeout / 1000)

    peer = peers[request["on"]]
    socket = peer.socket
    if verb == "set":
        peer.set(request["options"])
        return {}
    if verb in ("bind", "connect", "unbind", "disconnect"):
        getattr(socket, verb)(request["endpoint"])
        return {"endpoint": peer.endpoint}

    if verb == "send":
        frames = request["frames"]
        stride = sum("size" in frame for frame in frames)
        count = request.get("count", 1)
        for index in range(count):
            try:
                peer.send([body(frame, index * stride) for frame in frames], timeout)
            except zmq.Again:
                return {"error": "EAGAIN", "text": "send timed out", "sent": index}
        return {"sent": count}
    if verb == "fill":
        frames = [body(frame, 0) for frame in request["frames"]]
        return {"sent": until_refused(lambda _: peer.send(frames, 0), request.get("limit", 1_000_000))}
    if verb == "receive":
        return {"frames": [described(frame, request.get("whole", 1024)) for frame in peer.receive(timeout)]}
    if verb == "drain":
        return {"received": until_refused(lambda _: peer.receive(timeout), request.get("limit", 1_000_000))}
    if verb == "echo":
        return {"echoed": until_refused(lambda _: peer.send(peer.receive(timeout), timeout), request["count"])}
    if verb == "expect":
        return expected(peer, request, timeout)

    if verb == "poll":
        events = socket.poll(timeout, zmq.POLLIN | zmq.POLLOUT)
        return {"readable": bool(events & zmq.POLLIN), "writable": bool(events & zmq.POLLOUT)}
    if verb == "monitor":
        peer.events = socket.get_monitor_socket()
        return {}
    if verb == "event":
        skipped = []
        while True:
            peer.events.rcvtimeo = timeout
            event = parse_monitor_message(peer.events.recv_multipart())
            name = zmq.Event(event["event"]).name
            if name in request["name"].split("|"):
                return {
                    "event": name,
                    "value": event["value"],
                    "endpoint": event["endpoint"].decode(),
                    "skipped": skipped,
                }
            skipped.append(name)
    if verb == "statistics":
        return dict(peer.counts, endpoint=peer.endpoint)
    if verb == "close":
        if peer.events is not None:
            socket.disable_monitor()
        socket.close(linger=request.get("linger", 0))
        del peers[request["on"]]
        return {}
    raise ValueError("unknown request: " + verb)


raws = {}
relays = {}


def address(endpoint):
    host, port = endpoint.removeprefix("tcp://").rsplit(":", 1)
    return host, int(port)


def listening(endpoint, size=None):
    listener = plain.socket()
    listener.setsockopt(plain.SOL_SOCKET, plain.SO_REUSEADDR, 1)
    if size is not None:
        listener.setsockopt(plain.SOL_SOCKET, plain.SO_RCVBUF, size)
    listener.bind(address(endpoint))
    listener.listen()
    return listener


def perform_raw(verb, request, timeout):
    name = request["on"]
    if verb == "raw-listen":
        raws[name] = listening(request["endpoint"], request.get("size"))
        return {"endpoint": "tcp://%s:%d" % raws[name].getsockname()}
    if verb == "raw-connect":
        raws[name] = plain.create_connection(address(request["endpoint"]), timeout)
        return {}
    if verb == "raw-accept":
        raws[request["from"]].settimeout(timeout)
        raws[name] = raws[request["from"]].accept()[0]
        return {}

    raw = raws[name]
    raw.settimeout(timeout)
    octets = bytearray()
    try:
        if verb == "raw-send":
            raw.sendall(b"".join(body(frame, 0) for frame in request["frames"]))
            return {}
        if verb in ("raw-receive", "raw-rest"):
            size = request["size"] if verb == "raw-receive" else None
            while size is None or len(octets) < size:
                more = raw.recv(65536 if size is None else min(65536, size - len(octets)))
                if not more:
                    break
                octets += more
            if size is not None and len(octets) < size:
                return {"error": "EPIPE", "text": f"the stream ended after {octets.hex()}"}
            return {"frames": [described(bytes(octets), request.get("whole", 1024))]}
    except TimeoutError:
        return {"error": "EAGAIN", "text": f"{verb} timed out after {octets.hex() if octets else 'nothing'}"}
    except OSError as failure:
        return {"error": errno.errorcode.get(failure.errno, str(failure.errno)), "text": str(failure)}
    if verb == "raw-close":
        raws.pop(name).close()
        return {}
    raise ValueError("unknown request: " + verb)


class Relay:
    """Carries connections on to a target, on a thread of its own, and remembers what the target said."""

    def __init__(self, target):
        self.target = address(target)
        self.listener = listening("tcp://127.0.0.1:0")
        self.endpoint = "tcp://%s:%d" % self.listener.getsockname()
        self.said = bytearray()
        self.news = threading.Condition()
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            near = self.listener.accept()[0]
            far = plain.create_connection(self.target)
            other = {near: far, far: near}
            while other:
                for source in select.select(list(other), [], [])[0]:
                    octets = source.recv(65536)
                    if not octets:
                        other = {}
                        break
                    other[source].sendall(octets)
                    if source is far:
                        with self.news:
                            self.said += octets
                            self.news.notify_all()
            near.close()
            far.close()

    def count(self, text, count, timeout):
        with self.news:
            if not self.news.wait_for(lambda: self.said.count(text) >= count, timeout):
                return {"error": "EAGAIN", "text": f"only {self.said.count(text)} times", "value": self.said.count(text)}
            return {"value": self.said.count(text)}


def expected(peer, request, timeout):
    """Receives `count` generated messages and compares each, so that ten thousand cost one answer."""
    seed, size, parts, skip = request["seed"], request["size"], request.get("parts", 1), request.get("skip", 0)
    for index in range(request["count"]):
        try:
            frames = peer.receive(timeout)[skip:]
        except zmq.Again:
            return {"received": index, "wrong": "timed out"}
        wanted = [generated(seed + index * parts + part, size) for part in range(parts)]
        if frames != wanted:
            heads = [frame[:16].hex() for frame in frames[:4]]
            return {
                "received": index + 1,
                "wrong": f"message {index}: {len(frames)} frames of {[len(f) for f in frames[:4]]} bytes, {heads}",
            }
    return {"received": request["count"], "wrong": None}


def main():
    answer({"ok": True, "libzmq": zmq.zmq_version(), "pyzmq": zmq.__version__})
    for line in sys.stdin:
        try:
            result = perform(json.loads(line))
            result.setdefault("ok", "error" not in result)
        except zmq.ZMQError as failure:
            # libzmq has some of its own, as EFSM.
            name = errno.errorcode.get(failure.errno) or zmq.Errno(failure.errno).name
            result = {"ok": False, "error": name, "text": str(failure)}
        except Exception as failure:  # a mistake in the script: told, so that the test can show it
            result = {"ok": False, "error": type(failure).__name__, "text": str(failure)}
        answer(result)
    # Sockets have linger 0 unless a request closed them, so this does not wait.
    for peer in peers.values():
        peer.socket.close(linger=0)


def answer(result):
    sys.stdout.write(json.dumps(result) + "\n")
    sys.stdout.flush()


main()
