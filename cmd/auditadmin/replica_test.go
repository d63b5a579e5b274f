package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin/internal/pgtest"
)

// TestServeReplica serves a replica, which is promoted while it is: pages can be
// read all the time, and events are taken from then on.
func TestServeReplica(t *testing.T) {
	primary := pgtest.New(t)
	at := primary.Database(t, "")
	replica := primary.Replica(t)
	command := func(stdin string, args ...string) {
		t.Helper()
		var said strings.Builder
		if code := run(t.Context(), args, nil, strings.NewReader(stdin), io.Discard, &said); code != exitDone {
			t.Fatalf("%s: code %d: %s", args, code, said.String())
		}
	}
	command("a long password here\n", "user", "create", "sam", "--db", at, "--role", "superuser", "--password-stdin", "--state-dir", t.TempDir())
	replica.CatchUp(t, primary.LSN(t))
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = replica.Address()
	primary.Stop(t) // it is not there: pages are read from the replica alone

	ctx, stop := context.WithCancel(context.Background())
	said, tell := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, []string{"serve", "--addr", "127.0.0.1:0", "--db", at, "--read-db", u.String(), "--state-dir", t.TempDir()}, nil, nil, io.Discard, tell)
		tell.Close()
	}()
	serves := make(chan string, 1)
	var text strings.Builder
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for lines := bufio.NewScanner(said); lines.Scan(); {
			text.WriteString(lines.Text() + "\n")
			if m := listening.FindStringSubmatch(lines.Text()); m != nil {
				serves <- m[1]
			}
		}
	}()
	defer func() {
		stop()
		if got := <-code; got != exitDone {
			t.Errorf("it ended with code %d", got)
		}
		<-ended
		for _, want := range []string{"pages can be read, nothing is recorded", "fsync = off", "the database can be written again"} {
			if !strings.Contains(text.String(), want) {
				t.Errorf("it did not say %q:\n%s", want, text.String())
			}
		}
	}()
	var site string
	select {
	case site = <-serves:
	case <-time.After(30 * time.Second):
		t.Fatal("it does not serve")
	}
	ready := func() string {
		t.Helper()
		answer, err := http.Get(site + "/readyz")
		if err != nil {
			return err.Error()
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	if got := ready(); got != "ready for reading alone\n" {
		t.Errorf("readyz says %q", got)
	}
	form := url.Values{"username": {"sam"}, "password": {"a long password here"}}
	answer, err := (&http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).PostForm(site+"/login", form)
	if err != nil || answer.StatusCode != http.StatusSeeOther {
		t.Fatalf("sign in: %v, %v", answer, err)
	}
	answer.Body.Close()

	primary.Start(t)
	for start := time.Now(); ready() != "ready\n"; time.Sleep(50 * time.Millisecond) {
		if time.Since(start) > 20*time.Second {
			t.Fatalf("it does not go on: %s", ready())
		}
	}
}
