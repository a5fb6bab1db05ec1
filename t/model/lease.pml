/*
 * The lease protocol, checked over every order of events: two nodes and a
 * store, one account.  Messages are lost (an answer is not taken), late and
 * doubled (a total is sent at any time after it was true); a node crashes and
 * is replayed, or is given up and comes back.
 *
 * -DBROKEN=n leaves out one rule, which must have a counterexample:
 *
 *     1  an older total takes the place of a newer one
 *     2  what is reserved is given back
 *     3  an event that comes twice is recorded twice
 *     4  a node that was given up goes on with its lease
 *     5  a lease is closed but stays among what is leased
 */

#ifndef BROKEN
#define BROKEN  0
#endif

#define NODES   2
#define LIMIT   2
#define EVENTS  2               /* requests of all nodes */
#define MOST    2               /* that a lease is granted in all */

#define OPEN      1             /* of a request */
#define ENDED     2
#define RECORDED  3

byte used, leased, debt;        /* the account */

byte granted[NODES];            /* the store's totals of the lease */
byte returned[NODES];
byte settled[NODES];
bool closed[NODES];

byte n_granted[NODES];          /* the node's */
byte n_returned[NODES];
byte n_settled[NODES];
byte n_reserved[NODES];
bool retired[NODES];

byte told[NODES];               /* a total on its way, any that was true */
byte given[NODES];

byte state[EVENTS];
byte owner[EVENTS];
byte amount[EVENTS];
byte rows[EVENTS];
byte requests;
byte spent;                     /* what the ledger says */
bool late;                      /* something was given up */


#define held(i)    (granted[i] - returned[i] - settled[i])
#define free(i)    (n_granted[i] - n_returned[i] - n_settled[i] \
                    - n_reserved[i])


/* the trigger of accounts */

inline pay()
{
    if
    :: debt > 0 && used + leased < LIMIT ->
        used++;
        debt--
    :: else
    fi
}


/* lease_acquire(): one more, if it is free */

inline acquire(i)
{
    atomic {
        (!closed[i] && !retired[i] && used + leased < LIMIT
         && granted[i] < MOST) ->
        granted[i]++;
        leased++;
        told[i] = granted[i]
    }
}


/* its answer, or an older one */

inline grant(i)
{
    atomic {
        told[i] > 0 ->
        if
        :: n_granted[i] = (BROKEN == 1 || told[i] > n_granted[i]
                           -> told[i] : n_granted[i])
        :: told[i] > 1 ->
            n_granted[i] = (BROKEN == 1 || told[i] - 1 > n_granted[i]
                            -> told[i] - 1 : n_granted[i])
        fi
    }
}


inline admit(i)
{
    atomic {
        (requests < EVENTS && !retired[i]
         && n_granted[i] > n_returned[i] + n_settled[i] + n_reserved[i]) ->
        assert(!closed[i]);
        n_reserved[i]++;
        state[requests] = OPEN;
        owner[requests] = i;
        requests++
    }
}


/* a request costs what it reserved, or nothing */

inline end(i, r)
{
    atomic {
        (r < requests && state[r] == OPEN && owner[r] == i) ->
        n_reserved[i]--;
        state[r] = ENDED;
        if
        :: amount[r] = 1;
            n_settled[i]++
        :: amount[r] = 0
        fi
    }
}


inline give_back(i)
{
    atomic {
        (free(i) > 0 || (BROKEN == 2 && n_reserved[i] > 0)) ->
        n_returned[i]++;
        given[i] = n_returned[i]
    }
}


/* lease_return(): now or later, once or often */

inline take_back(i)
{
    atomic {
        (given[i] > returned[i] && !closed[i] && held(i) > 0) ->
        returned[i]++;
        leased--;
        pay()
    }
}


/* usage_record(), at any time after the end, and again */

inline record(r)
{
    atomic {
        (r < requests && (state[r] == ENDED || state[r] == RECORDED)) ->
        if
        :: rows[r] == 0 || (BROKEN == 3 && rows[r] < 2) ->
            rows[r]++;
            spent = spent + amount[r];
            if
            :: (!closed[owner[r]] && held(owner[r]) >= amount[r]) ->
                settled[owner[r]] = settled[owner[r]] + amount[r];
                leased = leased - amount[r];
                used = used + amount[r]
            :: else ->
                debt = debt + amount[r]
            fi;
            pay()
        :: else
        fi;
        state[r] = RECORDED
    }
}


/* lease_close(), by the sweep or after a replay */

inline close(i)
{
    returned[i] = returned[i] + held(i);
    closed[i] = 1
}


inline give_up(i)
{
    atomic {
        (!closed[i] && granted[i] > 0) ->
        leased = leased - (BROKEN == 5 -> 0 : held(i));
        close(i);
        late = 1;

        /* it had stopped before, and hears of it before it goes on */

        retired[i] = (BROKEN != 4);
        pay()
    }
}


/* All in memory is gone; the journal says what was open, at its least. */

inline crash(i, r)
{
    d_step {
        retired[i] = 1;
        n_reserved[i] = 0;
        r = 0;
        do
        :: r < requests ->
            if
            :: (state[r] == OPEN && owner[r] == i) ->
                state[r] = ENDED;
                amount[r] = 1;
                n_settled[i]++
            :: else
            fi;
            r++
        :: else -> break
        od;
        r = 0
    }
}


proctype node(byte i)
{
    byte r;

    do
    :: acquire(i)
    :: grant(i)
    :: admit(i)
    :: end(i, 0)
    :: end(i, 1)
    :: give_back(i)
    :: (!retired[i]) -> crash(i, r)
    :: break
    od
}


proctype store()
{
    do
    :: take_back(0)
    :: take_back(1)
    :: record(0)
    :: record(1)
    :: give_up(0)
    :: give_up(1)
    :: break
    od
}


/* The promises, in every state. */

active proctype promise()
{
    atomic {
        !(used + leased <= LIMIT
          && leased == (closed[0] -> 0 : held(0))
                       + (closed[1] -> 0 : held(1))
          && used + debt == spent
          && rows[0] <= 1 && rows[1] <= 1
          && (late || debt == 0)
          && (closed[0] || n_granted[0] <= granted[0])
          && (closed[1] || n_granted[1] <= granted[1])
          && n_granted[0] >= n_returned[0] + n_settled[0] + n_reserved[0]
          && n_granted[1] >= n_returned[1] + n_settled[1] + n_reserved[1])
        -> assert(false)
    }
}


init
{
    atomic {
        run node(0);
        run node(1);
        run store()
    }
}
