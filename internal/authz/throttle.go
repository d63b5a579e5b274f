package authz

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/auditadmin/auditadmin/internal/db"
)

// The limits on guesses. Five mistakes are free; then each wait is twice the
// one before, up to an hour, so that one account sees at most ten guesses in
// the first minute. After a hundred in a row the name is shut until its
// password is set anew, or for thirty days. Sessions that are open stay open:
// nobody can throw a person out by guessing at the name.
const (
	freeFailures = 5
	maxFailures  = 100
	maxWait      = time.Hour
	shutWait     = 30 * 24 * time.Hour

	addressBurst = 5
	addressEvery = 12 * time.Second
	addressesMax = 10_000 // remembered at a time
)

// throttle says whether a password may be tried at all, before anything is
// hashed. It knows addresses in memory and names in the database, and treats
// names nobody has like any other.
type throttle struct {
	store *db.Store

	mu        sync.Mutex
	addresses *recent[netip.Prefix, *rate.Limiter]
}

func newThrottle(store *db.Store) *throttle {
	return &throttle{store: store, addresses: newRecent[netip.Prefix, *rate.Limiter](addressesMax)}
}

// address takes one try from the bucket of an address, or says how long the
// next one has to wait. refund gives the try back, for one that succeeded: an
// office behind one address signs in every morning.
func (t *throttle) address(addr netip.Addr, now time.Time) (wait time.Duration, refund func()) {
	t.mu.Lock()
	limiter := t.addresses.get(network(addr), func() *rate.Limiter {
		return rate.NewLimiter(rate.Every(addressEvery), addressBurst)
	})
	t.mu.Unlock()
	r := limiter.ReserveN(now, 1)
	if wait := r.DelayFrom(now); wait > 0 {
		r.CancelAt(now)
		return wait, func() {}
	}
	return 0, func() { r.CancelAt(now) } // as of its own moment: a later one would give nothing back
}

// network is what counts as one address: a household has a whole /64 of IPv6.
// All callers of unknown address are one.
func network(addr netip.Addr) netip.Prefix {
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	p, err := addr.WithZone("").Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// charge counts a try under a key as failed before it is made, so that tries at
// the same time cannot slip through together; success clears the key. Where a
// wait is running it changes nothing and returns what is left of it.
func (t *throttle) charge(ctx context.Context, key string, now time.Time) (wait time.Duration, err error) {
	state, err := t.store.Throttle(ctx, key)
	if err != nil {
		return 0, err
	}
	if wait := remaining(state, now); wait > 0 {
		return wait, nil // without the write lock, which a flood must not hold
	}
	state, charged, err := t.store.ChargeThrottle(ctx, key, func(s db.Throttle) (db.Throttle, bool) {
		if remaining(s, now) > 0 {
			return s, false
		}
		failures := s.Failures + 1
		return db.Throttle{Failures: failures, Until: now.Add(waitAfter(failures)), SeenAt: now}, true
	})
	if err != nil || charged {
		return 0, err
	}
	return remaining(state, now), nil
}

// remaining is how long a state makes the next try wait. It never waits longer
// than the state could have said, even if the clock was set back since.
func remaining(s db.Throttle, now time.Time) time.Duration {
	return min(s.Until.Sub(now), waitAfter(s.Failures))
}

// waitAfter is how long the next try waits after that many failures in a row.
func waitAfter(failures int) time.Duration {
	switch {
	case failures < freeFailures:
		return 0
	case failures >= maxFailures:
		return shutWait
	}
	if n := failures - freeFailures; n < 12 { // 2^12 s is more than an hour
		return min(time.Second<<n, maxWait)
	}
	return maxWait
}
