package db

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// Sink is a place beyond this database where checkpoints go.
type Sink interface {
	// String names the place in messages.
	String() string
	// Publish hands a checkpoint over and returns when it is there for good. A
	// witness that signs it too returns its signatures, as lines of a note.
	Publish(ctx context.Context, c *SignedCheckpoint) (signatures string, err error)
}

// Verified is how far the evidence was verified in the background.
type Verified struct {
	UpTo    int64     // the last entry; everything from Since on to it holds, or Verdict says what does not
	Since   int64     // the first entry
	At      time.Time // when; zero if it was not yet
	Verdict *Verdict  // of the last run
}

// VerifiedUpTo returns how far the evidence was verified by KeepEvidence of this
// store. A problem that was found stays until a later run from the beginning.
func (s *Store) VerifiedUpTo(context.Context) Verified {
	if v := s.verified.Load(); v != nil {
		return *v
	}
	return Verified{}
}

// CheckpointEvery is how often KeepEvidence looks for news. A checkpoint is made
// at each look that finds some.
const CheckpointEvery = 10 * time.Second

// What KeepEvidence does more rarely: how often it thins the checkpoints and
// verifies everything from the beginning, and what part of one processor that
// takes at most.
const (
	thinEvery   = time.Hour
	verifyEvery = 24 * time.Hour
	verifyShare = 0.2
)

// closingSinks bounds how long the last checkpoint may take at the end.
const closingSinks = 5 * time.Second

// KeepEvidence makes checkpoints while there is news, hands them to the sinks,
// verifies what is new and once a day everything, slowly, and thins the
// checkpoints it kept, until ctx ends; then it makes a last one. every is
// how often it looks; failed is called with each error, and with what was damaged and
// made anew from the rows, and a sink that failed
// is tried again at the next look, with what is then the last checkpoint.
func (s *Store) KeepEvidence(ctx context.Context, every time.Duration, sinks []Sink, failed func(error)) {
	published := make([]int64, len(sinks)) // the size of the last checkpoint there
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	var thinned, began time.Time
	var beside sync.WaitGroup
	defer beside.Wait()
	verifying := false              // everything, just now
	whole := make(chan *Verdict, 1) // what that came to; nil where it failed
	for {
		// First what the last checkpoint left: the next one will cover it.
		if err := s.verifyNews(ctx); err != nil && ctx.Err() == nil {
			failed(err)
		}
		s.checkpointTo(ctx, sinks, published, failed)
		for _, what := range s.mended.take() {
			failed(what)
		}
		now := s.now()
		if now.Sub(thinned) >= thinEvery {
			if thinned = now; ctx.Err() == nil {
				if err := s.ThinCheckpoints(ctx); err != nil {
					failed(err)
				}
			}
		}
		if began.IsZero() && s.VerifiedUpTo(ctx).Since == 1 {
			began = now // it was all, just now
		}
		if now.Sub(began) >= verifyEvery && !verifying && ctx.Err() == nil {
			began, verifying = now, true
			beside.Go(func() {
				v, err := s.verifyAll(ctx)
				if err != nil && ctx.Err() == nil {
					failed(err)
				}
				whole <- v
			})
		}
		select {
		case <-ticker.C:
		case v := <-whole:
			if verifying = false; v != nil {
				s.verifiedAll(v)
			}
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closingSinks)
			defer cancel()
			s.checkpointTo(ctx, sinks, published, failed)
			return
		}
	}
}

// checkpointTo makes a checkpoint where there is news and hands the last one to the sinks
// that do not have it; published is of which size each has it.
func (s *Store) checkpointTo(ctx context.Context, sinks []Sink, published []int64, failed func(error)) {
	c, err := s.Checkpoint(ctx)
	if err != nil {
		if ctx.Err() == nil { // else the last look is still to come
			failed(err)
		}
		return
	}
	for i, sink := range sinks {
		if published[i] == c.Size {
			continue
		}
		signatures, err := sink.Publish(ctx, c)
		if err == nil && signatures != "" {
			err = s.cosigned(ctx, c, signatures)
		}
		if err != nil {
			failed(fmt.Errorf("hand a checkpoint to %s: %w", sink, err))
			continue
		}
		published[i] = c.Size
	}
}

// cosigned keeps the signatures of a witness with the checkpoint.
func (s *Store) cosigned(ctx context.Context, c *SignedCheckpoint, signatures string) error {
	for line := range strings.Lines(signatures) {
		if !strings.HasPrefix(line, "— ") || !strings.HasSuffix(line, "\n") || len(line) > 1000 {
			return errors.New("its answer is no signature of a note")
		}
		if !strings.Contains(c.Note, line) {
			c.Note += line
		}
	}
	return s.write(ctx, "keep the signature of a witness", func(tx *writeTx) error {
		before, err := tx.checkpointNote(c.Size)
		if err != nil {
			return err
		}
		after := signedToo(before, c.Note) // another server may have had it signed by another one
		if after == before {
			return nil
		}
		_, err = tx.ExecContext(tx.ctx, "UPDATE checkpoint SET note = ? WHERE size = ?", after, c.Size)
		return err
	})
}

// verifyWhole is up to how many entries a server verifies from the beginning when
// it starts: some seconds of one processor.
const verifyWhole = 300_000

// verifyNews verifies what came since it was called last. The first time that is
// everything or, in a large database, what came since the last checkpoint that
// holds.
func (s *Store) verifyNews(ctx context.Context) error {
	before := s.VerifiedUpTo(ctx)
	keys, err := s.PublicKeys()
	if err != nil {
		return err
	}
	o := VerifyOptions{SinceCheckpoint: true, After: before.UpTo, PublicKeys: keys, Workers: 1, Limit: 100}
	if before.At.IsZero() {
		head, _, err := s.head(ctx)
		if err != nil {
			return fmt.Errorf("verify what is new: %w", s.readDialect.classify(err))
		}
		o.SinceCheckpoint = head > verifyWhole
	}
	v, err := s.Verify(ctx, o)
	if err != nil {
		return err
	}
	next := Verified{UpTo: v.UpTo, Since: before.Since, At: v.At, Verdict: v}
	if before.At.IsZero() {
		next.Since = v.From
	} else if !before.Verdict.Holds() {
		next.Verdict.Problems = append(before.Verdict.Problems, v.Problems...)
		next.Verdict.Problems = next.Verdict.Problems[:min(len(next.Verdict.Problems), 100)]
	}
	s.verified.Store(&next)
	return nil
}

// verifyAll verifies everything from the beginning at a pace that nobody notices:
// with one worker, which holds a connection of those beside the pages for some
// milliseconds at a time.
func (s *Store) verifyAll(ctx context.Context) (*Verdict, error) {
	keys, err := s.PublicKeys()
	if err != nil {
		return nil, err
	}
	return s.Verify(ctx, VerifyOptions{PublicKeys: keys, Workers: 1, Share: verifyShare, Limit: 100})
}

// verifiedAll notes what a verification from the beginning found, and goes on to
// know what was found since in what came after it.
func (s *Store) verifiedAll(v *Verdict) {
	before := s.verified.Load()
	next := Verified{UpTo: v.UpTo, Since: v.From, At: v.At, Verdict: v}
	if before != nil && before.UpTo > v.UpTo {
		next.UpTo, next.At = before.UpTo, before.At
		for _, p := range before.Verdict.Problems {
			if p.Seq > v.UpTo {
				v.Problems = append(v.Problems, p)
			}
		}
	}
	s.verified.Store(&next)
}
