package db

import (
	"context"
	"slices"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/segment"
)

// view is the state of one kind up to a seq of the ledger.
type view struct {
	head     int64
	spread   int64    // microseconds that ids may run ahead of their timestamps
	segments []*piece // in the order of recording, without gaps
	count    int      // of events that are not deleted
}

// piece is a segment and its place: it holds what was recorded after lo, up to
// hi. A piece never changes.
type piece struct {
	*segment.Segment
	lo, hi  int64
	file    string // where it lies; "" while it is in memory alone
	decided int64  // decisions up to this seq are in the file
	pending int    // decisions that are not
	since   int64  // the first of those
	erase   bool   // it holds something that is to be gone from a file, or not to come into one
}

// view returns the state of a kind as of now.
func (s *Store) view(ctx context.Context, kind audit.Kind) (*view, error) {
	if err := s.refresh(ctx); err != nil {
		return nil, err
	}
	return s.columns.kinds[kind].view.Load(), nil
}

// add adds a piece to the end of the view, and makes one piece of the last ones
// where they are about as large, so that there are few of them however events
// come in. What lies in files, or is on its way there, is left to the sealer.
func (v *view) add(p *piece, sealing, words int64) {
	v.segments = slices.Clone(v.segments)
	v.count += p.Count()
	for len(v.segments) > 0 {
		last := v.segments[len(v.segments)-1]
		if last.file != "" || last.hi <= sealing || last.Len()+p.Len() > builderRows || last.Len() > 2*p.Len() || last.TextBytes()+p.TextBytes() > words {
			break
		}
		p = &piece{Segment: segment.Merge(last.Segment, p.Segment), lo: last.lo, hi: p.hi, erase: last.erase || p.erase}
		v.segments = v.segments[:len(v.segments)-1]
	}
	v.segments = append(v.segments, p)
}

// rowPlace is a row of a view.
type rowPlace struct{ segment, row int }

func (p rowPlace) id(v *view) int64 { return v.segments[p.segment].ID(p.row) }

func (p rowPlace) seq(v *view) int64 { return v.segments[p.segment].Seq(p.row) }

// bySeq finds a living row by its place in the ledger.
func (v *view) bySeq(seq int64) (rowPlace, bool) {
	i, _ := slices.BinarySearchFunc(v.segments, seq, func(p *piece, seq int64) int {
		switch {
		case p.hi < seq:
			return -1
		case p.lo >= seq:
			return 1
		}
		return 0
	})
	if i == len(v.segments) {
		return rowPlace{}, false
	}
	row, ok := v.segments[i].RowOf(seq)
	return rowPlace{i, row}, ok && v.segments[i].Alive(row)
}

// rowsAfter counts the rows recorded after seq, as far as limit.
func (v *view) rowsAfter(seq int64, limit int) int {
	n := 0
	for i := len(v.segments) - 1; i >= 0 && n <= limit && v.segments[i].hi > seq; i-- {
		n += v.segments[i].RecordedCount(seq + 1)
	}
	return n
}
