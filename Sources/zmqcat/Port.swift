import ZeroMQ

/// A socket behind one face for all types: a message is its frames, and what names a peer or a group stands in front.
struct Port {
    let socket: Socket
    /// Nil for a type that does not send.
    var send: ((Message) throws(ZeroMQError) -> SendResult)?
    /// Nil for a type that does not receive.
    var receive: (() throws(ZeroMQError) -> Message?)?

    /// A type whose messages are what they are.
    init(_ socket: Socket) {
        self.socket = socket
        if let sending = socket as? any SendingSocket {
            send = { (message) throws(ZeroMQError) in try sending.trySend(message) }
        } else if let sending = socket as? any SharedSendingSocket {
            send = { (message) throws(ZeroMQError) in try sending.trySend(message) }
        }
        if let receiving = socket as? any ReceivingSocket {
            receive = { () throws(ZeroMQError) in try receiving.tryReceive() }
        } else if let receiving = socket as? any SharedReceivingSocket {
            receive = { () throws(ZeroMQError) in try receiving.tryReceive() }
        }
    }

    /// A type that names peers by number: the number in decimal digits is the first frame.
    init(numbered socket: any RoutedSocket) {
        self.socket = socket
        send = { (message) throws(ZeroMQError) in
            guard let number = UInt32(message[0].string) else { return .noRoute }
            return try socket.trySend(Self.rest(of: message), to: number)
        }
        receive = { () throws(ZeroMQError) in
            guard let received = try socket.tryReceive() else { return nil }
            var message = received.message
            message.prepend(Frame("\(received.routingID)"))
            return message
        }
    }

    /// RADIO: the group is the first frame.
    init(radio socket: RadioSocket) {
        self.socket = socket
        send = { (message) throws(ZeroMQError) in
            try socket.send(Self.rest(of: message), to: Group(message[0]))
            return .sent
        }
    }

    /// DISH: the group is the first frame.
    init(dish socket: DishSocket, groups: [String]) throws(ZeroMQError) {
        self.socket = socket
        for group in groups { try socket.join(Group(group)) }
        receive = { () throws(ZeroMQError) in
            guard let received = try socket.tryReceive() else { return nil }
            var message = received.message
            message.prepend(received.group.name)
            return message
        }
    }

    private static func rest(of message: Message) -> Message {
        message.count > 1 ? Message(frames: message.dropFirst()) : Message()
    }
}
