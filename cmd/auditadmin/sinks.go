package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/auditadmin/auditadmin/internal/db"
	"github.com/auditadmin/auditadmin/internal/evidence"
)

// sinkFlag is where checkpoints are handed out.
type sinkFlag struct {
	CheckpointTo []string `environment:"AUDITADMIN_CHECKPOINT_TO" placeholder:"PLACE" help:"Hand signed checkpoints to file:PATH, stdout, or the https URL of a witness (C2SP tlog-witness, add-checkpoint); may be repeated."`
}

// sinks opens the places. seen are the checkpoints that were found there.
func (f sinkFlag) sinks(p *process) (all []db.Sink, seen []*evidence.Checkpoint, err error) {
	for _, place := range f.CheckpointTo {
		path, isFile := strings.CutPrefix(place, "file:")
		u, badURL := url.Parse(place)
		switch {
		case isFile && path != "":
			found, err := lastCheckpoint(path)
			if err != nil {
				return nil, nil, err
			}
			if found != nil {
				seen = append(seen, found)
			}
			all = append(all, fileSink(path))
		case place == "stdout":
			all = append(all, &writerSink{w: p.stdout})
		case badURL == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname())):
			stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // a checkpoint goes to that witness and to nobody else
			all = append(all, &witness{url: u, client: &http.Client{Timeout: witnessTime, CheckRedirect: stay}})
		default:
			return nil, nil, usageError{fmt.Errorf("--checkpoint-to %s: give file:PATH, stdout, or an https URL", place)}
		}
	}
	return all, seen, nil
}

// fileSink appends checkpoints to a file, which somebody else may own and keep
// from being changed: nothing but appending is ever done to it.
type fileSink string

// String implements db.Sink.
func (s fileSink) String() string { return "the file " + string(s) }

// Publish implements db.Sink.
func (s fileSink) Publish(_ context.Context, c *db.SignedCheckpoint) (string, error) {
	f, err := os.OpenFile(string(s), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return "", err
	}
	_, err = f.WriteString(c.Note + "\n")
	return "", errors.Join(err, f.Sync(), f.Close())
}

// lastCheckpoint returns the last checkpoint in a file, and nil where there is
// none. Its signature is not looked at: one that somebody added makes nothing
// worse than a new incarnation.
func lastCheckpoint(path string) (*evidence.Checkpoint, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the file of checkpoints: %w", err)
	}
	defer f.Close()
	const tail = 64 << 10
	if _, err := f.Seek(-tail, io.SeekEnd); err != nil {
		if _, err = f.Seek(0, io.SeekStart); err != nil {
			return nil, fmt.Errorf("read the file of checkpoints: %w", err)
		}
	}
	text, err := io.ReadAll(f)
	if err != nil {
		return nil, fmt.Errorf("read the file of checkpoints: %w", err)
	}
	notes := evidence.SplitNotes(string(text))
	if len(notes) == 0 {
		return nil, nil
	}
	c, _, err := evidence.OpenCheckpoint(notes[len(notes)-1], nil)
	if err != nil {
		return nil, fmt.Errorf("read the last checkpoint in %s: %w", path, err)
	}
	return c, nil
}

// writerSink writes checkpoints to a stream that something else keeps.
type writerSink struct {
	mu sync.Mutex
	w  io.Writer
}

// String implements db.Sink.
func (s *writerSink) String() string { return "stdout" }

// Publish implements db.Sink.
func (s *writerSink) Publish(_ context.Context, c *db.SignedCheckpoint) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := io.WriteString(s.w, c.Note+"\n")
	return "", err
}

// witnessTime bounds one request to a witness, and witnessBytes its answer.
const (
	witnessTime  = 10 * time.Second
	witnessBytes = 64 << 10
)

// witness asks a C2SP tlog-witness to sign checkpoints: it is given the proof
// that each goes on from the one it signed before, and refuses any other.
type witness struct {
	url    *url.URL
	client *http.Client
	size   int64 // of the checkpoint that it signed last, as far as is known
	prove  func(ctx context.Context, old, size int64) ([]evidence.Hash, error)
}

// String implements db.Sink.
func (w *witness) String() string { return "the witness " + w.url.Redacted() }

// Publish implements db.Sink.
func (w *witness) Publish(ctx context.Context, c *db.SignedCheckpoint) (string, error) {
	for range 2 {
		proof, err := w.prove(ctx, w.size, c.Size)
		if err != nil {
			return "", err
		}
		var body strings.Builder
		fmt.Fprintf(&body, "old %d\n", w.size)
		for _, hash := range proof {
			fmt.Fprintln(&body, base64.StdEncoding.EncodeToString(hash[:]))
		}
		body.WriteString("\n" + c.Note)
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url.String(), strings.NewReader(body.String()))
		if err != nil {
			return "", err
		}
		request.Header.Set("Content-Type", "text/plain; charset=utf-8")
		answer, err := w.client.Do(request)
		if err != nil {
			return "", err
		}
		text, err := io.ReadAll(io.LimitReader(answer.Body, witnessBytes))
		answer.Body.Close()
		if err != nil {
			return "", err
		}
		switch {
		case answer.StatusCode/100 == 2:
			w.size = c.Size
			if !bytes.HasPrefix(text, []byte("— ")) {
				return "", nil // a plain collector
			}
			return string(text), nil
		case answer.StatusCode == http.StatusConflict:
			size, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
			if err != nil || size < 0 || size > c.Size {
				return "", fmt.Errorf("it has signed another checkpoint, of %.40q entries: is this an older copy of the database?", text)
			}
			w.size = size
		default:
			return "", fmt.Errorf("it answered %s", answer.Status)
		}
	}
	return "", errors.New("it changes its mind about what it signed last")
}
