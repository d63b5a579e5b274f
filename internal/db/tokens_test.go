package db_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin/internal/db"
)

func TestTokens(t *testing.T) {
	a, ctx := newAdmin(t), t.Context()
	by := db.CommandLine("root")
	expires := a.clock().Add(90 * 24 * time.Hour)
	if _, err := a.CreateToken(ctx, by, "x", "write", []byte("h"), time.Time{}); !errors.Is(err, db.ErrScope) {
		t.Errorf("a scope that is none: got %v, want ErrScope", err)
	}
	if _, err := a.CreateToken(ctx, by, " ", "read", []byte("h"), time.Time{}); !errors.Is(err, db.ErrName) {
		t.Errorf("an empty name: got %v, want ErrName", err)
	}
	shop, err := a.CreateToken(ctx, by, "shop", "ingest", []byte("h1"), expires)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.CreateToken(ctx, by, "report", "read", []byte("h2"), time.Time{}); err != nil {
		t.Fatal(err)
	}
	got, err := a.Token(ctx, []byte("h1"))
	if err != nil || *got != *shop || !got.ExpiresAt.Equal(expires) || got.CreatedBy != "cli (root)" || !got.UsedAt.IsZero() || !got.RevokedAt.IsZero() {
		t.Errorf("Token: got %+v, %v; want %+v", got, err, shop)
	}
	if _, err := a.Token(ctx, []byte("h3")); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("an unknown token: got %v, want ErrNotFound", err)
	}
	a.sleep(time.Minute)
	for _, err := range []error{a.TouchToken(ctx, shop.ID), a.RevokeToken(ctx, by, shop.ID), a.RevokeToken(ctx, by, shop.ID)} {
		if err != nil {
			t.Error(err)
		}
	}
	if err := a.RevokeToken(ctx, by, 99); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("revoke an unknown token: got %v, want ErrNotFound", err)
	}
	all, err := a.Tokens(ctx)
	if err != nil || len(all) != 2 || !all[0].RevokedAt.Equal(a.clock()) || !all[0].UsedAt.Equal(a.clock()) || all[1].Name != "report" {
		t.Errorf("Tokens: got %+v, %v", all, err)
	}
	a.wantDeeds(
		`cli (root)  CREATE auditadmin.token 1 shop {"expires_at":{"old":null,"new":"2026-05-30T12:00:00.000000Z"},"scope":{"old":null,"new":"ingest"}}`,
		`cli (root)  CREATE auditadmin.token 2 report {"scope":{"old":null,"new":"read"}}`,
		`cli (root)  DELETE auditadmin.token 1 shop {"revoked_at":{"old":null,"new":"2026-03-01T12:01:00.000000Z"}}`,
	)
}

func TestThrottleIsChargedOneAfterTheOther(t *testing.T) {
	a, ctx := newAdmin(t), t.Context()
	key := db.AccountKey(" Ines")
	if key != "account:ines" {
		t.Errorf("AccountKey: got %q, want account:ines", key)
	}
	next := func(s db.Throttle) (db.Throttle, bool) {
		if s.Failures == 5 {
			return s, false
		}
		return db.Throttle{Failures: s.Failures + 1, Until: a.clock().Add(time.Second), SeenAt: a.clock()}, true
	}
	var wait sync.WaitGroup
	var mu sync.Mutex
	charged := 0
	for range 40 {
		wait.Go(func() {
			state, ok, err := a.ChargeThrottle(ctx, key, next)
			if err != nil || state.Failures == 0 {
				t.Errorf("charge: got %+v, %v", state, err)
			}
			mu.Lock()
			defer mu.Unlock()
			if ok {
				charged++
			}
		})
	}
	wait.Wait()
	state, err := a.Throttle(ctx, key)
	if err != nil || charged != 5 || state != (db.Throttle{Failures: 5, Until: a.clock().Add(time.Second), SeenAt: a.clock()}) {
		t.Errorf("got %d charges and %+v, %v; want 5", charged, state, err)
	}
	// A month later nothing of it is left once somebody else fails.
	a.sleep(31 * 24 * time.Hour)
	if _, _, err := a.ChargeThrottle(ctx, "account:other", next); err != nil {
		t.Fatal(err)
	}
	if rows := a.rows("SELECT key FROM throttle"); len(rows) != 1 || rows[0] != "account:other" {
		t.Errorf("remembered: got %q, want account:other alone", rows)
	}
	if err := a.ClearThrottle(ctx, "account:other"); err != nil {
		t.Fatal(err)
	}
	if state, err := a.Throttle(ctx, "account:other"); err != nil || state != (db.Throttle{}) {
		t.Errorf("after ClearThrottle: got %+v, %v; want none", state, err)
	}
}
