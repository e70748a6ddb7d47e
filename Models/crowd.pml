/* A crowd: several callers receive on one socket at once (Crowd.swift).
 *
 * The short work is done under one lock; who finds nothing queues up and arms the socket's list, both under the lock,
 * and sleeps outside it. Who replaces the mark ARMED wakes the first of the queue. A woken caller *holds the wake*:
 * after its work it looks whether the next one is to be woken, and if it leaves without work (time-out, cancellation, which
 * may cross the wake) it wakes the next. The list takes pipes as in ready.pml; two peers have a pipe each.
 *
 *   -DN=  messages of each peer   -DC=  callers   -DWANTS=  messages that each caller wants
 *   -DLEAVES=  waits that end early: odd callers look once more (time-out), even ones go at once (cancelled)
 *   -DBREAK=n  a broken variant (README.md)
 */
#ifndef N
#define N 1
#endif
#ifndef C
#define C 3
#endif
#ifndef WANTS
#define WANTS 1
#endif
#ifndef LEAVES
#define LEAVES 2
#endif
#ifndef BREAK
#define BREAK 0
#endif
#define EMPTY 0
#define ARMED 1
#define NEWS 2

byte head = EMPTY; bit announced[2];        /* the list: its head, and which pipes it has */
byte available[2]; bit idle[2] = 1;         /* the pipes: one word each */
bit readable[2];                            /* pipes known to the half; under `taken` */
bit taken = 0;                              /* the crowd's lock */
byte queue[C]; byte length = 0;             /* callers that wait, first come first; each change is one step */
bit woken[C]; bit waits[C];
byte leaves;

inline wakeOne() {
  d_step {
    if
    :: length > 0 ->
       woken[queue[0]] = 1;
       i = 1; do :: i < length -> queue[i - 1] = queue[i]; i++ :: else -> break od;
       length--
    :: else
    fi; i = 0
  }
}

inline enqueue(me, front) {
  d_step {
    if
    :: front -> i = length; do :: i > 0 -> queue[i] = queue[i - 1]; i-- :: else -> break od; queue[0] = me
    :: else -> queue[length] = me
    fi;
    length++; i = 0
  }
}

/* Answers in `held`: whether it had been chosen. */
inline leave(me) {
  d_step {
    i = 0; do :: i < length && queue[i] != me -> i++ :: else -> break od;
    if
    :: i < length -> held = 0;
       length--;
       do :: i < length -> queue[i] = queue[i + 1]; i++ :: else -> break od
    :: else -> held = 1
    fi; i = 0
  }
}

/* Answers in `ok`: whether the list is armed. */
inline arm() {
  d_step { if :: head == NEWS -> ok = 0 :: else -> head = ARMED; ok = 1 fi }
}

/* Answers in `p`: a pipe with a message, or 2. Pipes without rest. */
inline choose() {
  d_step {
    if
    :: head == NEWS -> head = EMPTY;
       if :: announced[0] -> readable[0] = 1; announced[0] = 0 :: else fi;
       if :: announced[1] -> readable[1] = 1; announced[1] = 0 :: else fi
    :: else
    fi
  }
  p = 0;
  do
  :: p == 2 -> break
  :: p < 2 && readable[p] && available[p] > 0 -> break
  :: p < 2 && readable[p] && available[p] == 0 ->
     d_step { if :: available[p] == 0 -> idle[p] = 1; readable[p] = 0; p++ :: else fi }
  :: p < 2 && !readable[p] -> p++
  od
}

proctype peer(byte w) {
  byte i = 0, sent = 0, old; bit wasIdle;
  do
  :: sent < N ->
     d_step { available[w]++; wasIdle = idle[w]; idle[w] = 0; sent++ }
     if
     :: wasIdle ->
        d_step { announced[w] = 1; old = head; head = NEWS }
        if :: old == ARMED -> wakeOne() :: else fi
     :: else
     fi
  :: else -> break
  od
}

proctype caller(byte me) {
  byte i = 0, p, got = 0; bit held = 0, ok, more, isLast = 0;
again: skip;
  d_step { !taken -> taken = 1 }
  choose();
  if
  :: p < 2 ->
     available[p]--; got++;
     more = 0;
     if
     :: held && length > 0 ->
        choose();
        if
        :: p < 2 -> more = 1
#if BREAK != 2
        :: p == 2 -> arm(); more = !ok
#else
        :: p == 2
#endif
        fi
     :: else
     fi;
     taken = 0;
     if :: more -> wakeOne() :: else fi;
     held = 0;
     if :: got < WANTS && !isLast -> goto again :: else -> goto over fi
  :: p == 2 && isLast ->
     taken = 0;
#if BREAK != 1
     if :: held -> wakeOne() :: else fi;
#endif
     goto over
  :: p == 2 && !isLast
  fi;
#if BREAK == 3
  taken = 0; arm();
  woken[me] = 0; enqueue(me, held);
#else
  woken[me] = 0; enqueue(me, held);
  arm();
  taken = 0;
#endif
  if :: !ok -> wakeOne() :: else fi;
  waits[me] = 1;
endWait:
  if
  :: woken[me]
  :: d_step { leaves > 0 -> leaves-- } isLast = 1
  fi;
  waits[me] = 0;
  leave(me);
  if
  :: isLast && me % 2 == 0 ->              /* cancelled */
#if BREAK != 4
     if :: held -> wakeOne() :: else fi;
#endif
     goto over
  :: else -> goto again                    /* a time-out looks once more */
  fi;
over:
  skip
}

/* When nothing else can move: nobody waits for what is there, and who waits is in the queue. */
active proctype auditor() {
  byte i = 0, k;
  timeout;
  do
  :: i < C ->
     if
     :: waits[i] ->
        assert(!woken[i] && available[0] + available[1] == 0);
        k = 0; do :: k < length && queue[k] != i -> k++ :: else -> break od;
        assert(k < length)
     :: else
     fi; i++
  :: else -> break
  od
}

init {
  byte n = 0;
  atomic {
    do :: leaves < LEAVES -> leaves++ :: break od;
    run peer(0); run peer(1);
    do :: n < C -> run caller(n); n++ :: else -> break od
  }
}
