package db

import (
	"context"
	"fmt"
	"math"
	"sync"

	"github.com/auditadmin/auditadmin/audit"
)

// recordedPlaces keeps where in the ledger what was recorded from an instant on
// begins. The ledger only grows at its end, and recorded_at with it, so that an entry
// that was found is the one for ever.
type recordedPlaces struct {
	mu    sync.Mutex
	known map[int64]int64 // by microseconds
}

const recordedMost = 1024

func (p *recordedPlaces) get(micros int64) (int64, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	seq, ok := p.known[micros]
	return seq, ok
}

func (p *recordedPlaces) put(micros, seq int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known == nil || len(p.known) >= recordedMost {
		p.known = map[int64]int64{}
	}
	p.known[micros] = seq
}

// recordedFrom returns the first seq up to head that was recorded at micros or
// later, and head+1 if there is none.
func (s *Store) recordedFrom(ctx context.Context, head, micros int64) (int64, error) {
	switch {
	case micros == math.MaxInt64:
		return head + 1, nil
	case micros == math.MinInt64:
		return 1, nil
	}
	if seq, ok := s.recorded.get(micros); ok {
		return min(seq, head+1), nil
	}
	// It is one of lo to hi, and each look at some places between leaves less.
	const places = 32
	lo, hi := int64(1), head+1
	for lo < hi {
		var asked []int64
		for i := range min(int64(places), hi-lo) {
			asked = append(asked, lo+(hi-1-lo)*(i+1)/min(places, hi-lo))
		}
		late := map[int64]bool{}
		condition, args := s.dialect.among("seq", asked)
		err := eachRow(ctx, s.ro, "SELECT seq, recorded_at FROM ledger WHERE "+condition, args, func(r scanner) error {
			var seq int64
			var at string
			err := r.Scan(&seq, &at)
			t, unreadable := audit.ParseTime(at)
			late[seq] = unreadable != nil || t.UnixMicro() >= micros
			return err
		})
		if err != nil {
			return 0, fmt.Errorf("read the ledger from %d on: %w", lo, s.readDialect.classify(err))
		}
		for _, seq := range asked {
			if is, there := late[seq]; !there {
				return 0, fmt.Errorf("read the ledger at %d: there is no such entry; 'auditadmin verify' says more", seq)
			} else if is {
				hi = seq
				break
			}
			lo = seq + 1
		}
	}
	if lo <= head {
		s.recorded.put(micros, lo)
	}
	return lo, nil
}
