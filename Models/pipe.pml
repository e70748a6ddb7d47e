/* The pipe: one writer, one consumer, two words.
 *
 * W (data) says how far the writer has published and who holds what; R (room) says how much the consumer has given
 * back. Each d_step below is ONE atomic load or read-modify-write of ONE word; everything between two of them may
 * interleave with the other side in any way. The consumer here gives room back message by message, as a loop does
 * that sends to a peer; pipe-batched-credit.pml has the consumer that gives it back in lots.
 *
 * Who sleeps is called through a ready list (ready.pml): `ready` is this pipe's entry in the consumer's list,
 * `roomy` its entry in the writer's list. Pushing twice is one entry; a late entry costs a look for nothing.
 *
 *   -DN=  messages        -DMARK=     high-water mark        -DGIVEUPS=  refused try-sends and time-outs
 *   -DINLINE=0|1  may the publishing caller consume by itself (send on the calling thread)?
 *   -DCONTROLS=   times the consumer wants the connection for bytes of its own
 *   -DDEATHS=     connections that die under the pipe
 *   -DBREAK=n     a broken variant (README.md), which must be caught
 */
#ifndef N
#define N 3
#endif
#ifndef MARK
#define MARK 2
#endif
#ifndef GIVEUPS
#define GIVEUPS 1
#endif
#ifndef INLINE
#define INLINE 1
#endif
#ifndef CONTROLS
#define CONTROLS 1
#endif
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef BREAK
#define BREAK 0
#endif
#define HALF (MARK/2)
#define CHUNKS (N+4)

/* ---- W ---- */
byte position = 0, count = 0;   /* bytes and messages published */
bit busy = 0;                   /* the writer holds the tail of the chunk */
bit idle = 1;                   /* nobody consumes; who clears this owns the consuming side */
bit bare = 1;                   /* the pipe has no chunk */
bit want = 0;                   /* the consumer's loop wants the side that a caller has just now */
/* ---- R ---- */
byte credited = 0;              /* messages given back */
bit waiting = 0;                /* the writer is blocked; who clears this owes one push to its list */
/* ---- plain fields that travel with the consuming side ---- */
byte sent = 0, done = 0; bit linked = 1;
/* ---- plain fields of the writer, which its publishing makes visible ---- */
byte first = 0; byte end[N+1];
/* ---- entries in the two ready lists ---- */
bit ready = 0, roomy = 0;
/* ---- ghosts: seen by assertions only ---- */
bit alive[CHUNKS]; byte chunks = 0, consumers = 0, boundary = 0, controls = 0, deaths = 0;
bit writerDone = 0, keptAtEnd = 0, wanting = 0;

inline enter()      { consumers++; assert(consumers == 1) }
inline leave()      { consumers-- }
inline push_ready() { d_step { assert(!ready); ready = 1 } }

/* The kernel accepts k bytes. A message leaves the mark with its last byte. */
inline transmit(k) {
  d_step {
    assert(linked && consumers == 1 && alive[first] && sent + k <= position);
    sent = sent + k;
    do
    :: done < N && end[done+1] != 0 && end[done+1] <= sent -> done++; boundary = end[done]
    :: else -> break
    od
  }
}

/* Gives back everything up to c, in one compare-exchange of R: the new total, and the flag unless half of the mark is
 * free for a writer that waits. Whoever's exchange clears the flag owes the push. Only the consumer changes the total,
 * so comparing the word is comparing the flag. */
inline give_back(c, was, owed, published) {
  do
  :: d_step { was = waiting; owed = 0 };                 /* load R */
     if
     :: was ->
        d_step { published = count };   /* the writer published before it waited, so this is fresh */
#if BREAK == 2
        d_step { owed = (published - c < HALF) }
#else
        d_step { owed = (published - c <= HALF) }
#endif
     :: else
     fi;
     if
     :: d_step { waiting == was -> assert(c >= credited && c <= N); credited = c; waiting = was && !owed }; break
#if BREAK == 7
     :: d_step { waiting != was -> credited = c; waiting = was && !owed }; break   /* a store: it compares nothing */
#else
     :: d_step { waiting != was -> skip }
#endif
     fi
  od;
  if :: owed -> d_step { roomy = 1 } :: else fi
}

proctype Writer() {
  byte m = 0, p = 0, size, chunk = 0, seen, gaveUp = 0, undone = 0, published;
  bit kept = 0, wasIdle, wasBare, was, owed, keep;
next:
  do
  :: m == N -> break
  :: m < N ->
     /* -- room for one more? -- */
look:
     seen = credited;                                    /* load R */
     assert(m - seen <= MARK);
     if
     :: m - seen < MARK -> skip
     :: else ->
        if
        :: gaveUp < GIVEUPS -> gaveUp++; goto next       /* a try-send, refused at exactly the mark */
        :: true ->
#if BREAK == 1
           waiting = 1;                                  /* says that it sleeps without looking again */
#else
           if                                            /* compare-exchange R: the credit it judged, and waiting */
           :: d_step { credited == seen -> waiting = 1 }
           :: d_step { credited != seen -> skip }; goto look
           fi;
#endif
           if
           :: d_step { roomy -> roomy = 0 }; goto look
           :: gaveUp < GIVEUPS -> gaveUp++;              /* deadline or cancellation: the flag goes, an entry may stay */
              d_step { waiting = 0 };
              goto next
           fi
        fi
     fi;
     /* -- claim the tail, unless it was kept -- */
     if
     :: kept -> skip
     :: else ->
#if BREAK == 3
        d_step { wasIdle = idle; wasBare = bare };       /* looks, and claims nothing */
#else
        d_step { wasIdle = idle; wasBare = bare; assert(!busy); busy = 1 };
#endif
        if
        :: wasBare -> d_step { chunks++; chunk = chunks; assert(chunk < CHUNKS); alive[chunk] = 1 }
        :: else -> skip
        fi
     fi;
     /* -- encode: one frame, or two of a multipart -- */
     if :: size = 1 :: size = 2 fi;
     assert(alive[chunk]);
     if
     :: !kept && undone < 1 -> undone++;                 /* the send fails midway: nothing of it was published */
        if
        :: wasBare -> d_step { alive[chunk] = 0 }; d_step { busy = 0 }
        :: else ->
           if                                            /* compare-exchange W until it holds */
           :: d_step { idle && !bare -> busy = 0; bare = 1 }; d_step { assert(alive[chunk]); alive[chunk] = 0 }
           :: d_step { !idle -> busy = 0 }
           fi
        fi;
        goto next
     :: true -> skip
     fi;
     d_step { if :: !kept && wasBare -> first = chunk :: else fi };
     assert(alive[chunk]);
     p = p + size; m++;
     d_step { end[m] = p };
     /* -- publish: one exchange -- */
     if :: keep = 0 :: keep = 1 fi;
     d_step { wasIdle = idle; position = p; count = m; busy = keep; idle = 0; bare = 0; want = 0 };
     kept = keep;
     if
     :: wasIdle ->                                       /* the consuming side is the writer's to hand on, or to use */
        if
        :: push_ready()
#if INLINE
        :: enter();
           if
           :: linked ->
              if :: transmit(p - sent) :: p - sent > 1 -> transmit(1) :: skip fi;
              give_back(done, was, owed, published)
           :: else
           fi;
           leave();
#if BREAK == 4
#define WANTED 0
#else
#define WANTED want
#endif
           if
           :: d_step { sent == p && !WANTED && kept  -> idle = 1; want = 0 }
           :: d_step { sent == p && !WANTED && !kept -> idle = 1; want = 0; bare = 1 };
              d_step { assert(alive[chunk]); alive[chunk] = 0 }
           :: d_step { sent == p && WANTED -> skip }; push_ready()
           :: sent != p -> push_ready()
           fi
#endif
        fi
     :: else
     fi;
     /* -- let go of a kept tail, as a socket does that turns to another pipe -- */
     if
     :: kept ->
        if
        :: d_step { idle && !bare -> busy = 0; bare = 1 }; kept = 0; d_step { assert(alive[chunk]); alive[chunk] = 0 }
        :: d_step { !idle -> busy = 0 }; kept = 0
        :: skip
        fi
     :: else
     fi
  od;
  keptAtEnd = kept; writerDone = 1
}

proctype Consumer() {
  byte sawPosition, sawCount, published, chunk; bit sawBusy, sawBare, was, owed;
rest:
end_rest:
  do
  :: d_step { ready -> ready = 0 }; enter(); goto serve
  :: !wanting && controls + deaths < CONTROLS + DEATHS ->
     if                                                  /* the loop wants the connection for itself */
     :: d_step { idle -> idle = 0 }; enter(); wanting = 1; goto serve
     :: d_step { !idle -> want = 1 }; wanting = 1        /* the pipe will come through the list */
     fi
  od;
serve:
  do
  :: if
     :: wanting && controls < CONTROLS && linked && sent == boundary -> controls++; wanting = 0
     :: wanting && deaths < DEATHS ->
        d_step { deaths++; wanting = 0; linked = 0;      /* its send's final completion came first */
                 sent = boundary }                       /* half a message goes again, whole */
     :: wanting && controls >= CONTROLS && deaths >= DEATHS -> wanting = 0
     :: else -> skip
     fi;
     if :: !linked -> linked = 1 :: else -> skip fi;     /* the next connection */
#if BREAK == 5
     sawCount = count;                                   /* count and position from two looks */
     d_step { sawPosition = position; sawBusy = busy; sawBare = bare };
#else
     d_step { sawPosition = position; sawCount = count; sawBusy = busy; sawBare = bare };
#endif
     if
     :: sent < sawPosition ->
        if
        :: transmit(sawPosition - sent)
        :: sawPosition - sent > 1 -> transmit(1)         /* the kernel took a part */
        :: deaths < DEATHS && !wanting -> wanting = 1; goto serve
        fi;
#if BREAK == 5
        if :: sent == sawPosition -> give_back(sawCount, was, owed, published) :: else fi
#else
        give_back(done, was, owed, published)
#endif
     :: else ->
        if :: wanting -> goto serve :: else fi;
        chunk = first;
#if BREAK != 5
        assert(credited == sawCount);                    /* it never rests on room that it has not given back */
#endif
        /* Rest by compare-exchange of the WHOLE word: a message that slipped in between changes the count. Who brings
         * about "idle and not busy" frees the chunk. */
        if
#if BREAK == 5
#define SAME (position == sawPosition)
#else
#define SAME (position == sawPosition && count == sawCount)
#endif
#if BREAK == 6
        :: d_step { SAME -> idle = 1; bare = 1; leave() };   /* frees although the writer fills */
           if :: !sawBare -> d_step { alive[chunk] = 0 } :: else fi;
           goto rest
        :: d_step { !SAME -> skip }
#else
        :: d_step { SAME && busy == sawBusy && bare == sawBare && (sawBusy || sawBare)
                    -> idle = 1; want = 0; leave() };
           goto rest
        :: d_step { SAME && busy == sawBusy && bare == sawBare && !sawBusy && !sawBare
                    -> idle = 1; want = 0; bare = 1; leave() };
           d_step { assert(alive[chunk]); alive[chunk] = 0 };
           goto rest
        :: d_step { !(SAME && busy == sawBusy && bare == sawBare) -> skip }
#endif
        fi
     fi
  od
}

/* Runs when nothing else can: all sent and given back, nobody waits, no entry that matters, and no chunk but a kept
 * one. An entry in the writer's list may be left over by a wait that ended early. */
byte left = 0, i;
proctype Auditor() {
  timeout ->
  assert(writerDone && sent == position && count == N && credited == N && idle && !ready && !waiting && !wanting);
  i = 0;
  do :: i < CHUNKS -> left = left + alive[i]; i++ :: else -> break od;
  assert(left == keptAtEnd)
}

init { atomic { run Writer(); run Consumer(); run Auditor() } }

ltl sends  { <> (writerDone && credited == N && sent == position) }
ltl served { [] (wanting -> <> !wanting) }
