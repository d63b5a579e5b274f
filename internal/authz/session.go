package authz

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/gorilla/sessions"

	"github.com/auditadmin/auditadmin/internal/db"
)

// The life of a session.
const (
	sessionIdle     = 30 * time.Minute // without a request
	sessionAbsolute = 12 * time.Hour   // whatever happens
	sessionsMax     = 5                // of one account at a time; the oldest goes
	touchEvery      = time.Minute      // at most, so that reading is not writing
	clockSlack      = 2 * time.Minute  // how far a clock may be set back before sessions end
)

// The names of the cookie. The prefix makes browsers insist on https and this
// very host.
const (
	cookieSecure = "__Host-auditadmin"
	cookiePlain  = "auditadmin"
)

// What a gorilla session carries on its way through the store. Nothing else is
// kept: a session is who and since when, and a page says what was done in its
// URL.
type valueKey int

const (
	valueSession   valueKey = iota // *db.Session
	valueAccount                   // *db.Account
	valueActor                     // db.Actor who signs in or out
	valueOpening                   // opening, of a session that is new
	valueConfirmed                 // time.Time when its owner showed who he is, where that is why it is saved
)

// Sessions is the sessions.Store of the admin: the cookie holds 256 random
// bits, the database their SHA-256, and what an account may do is read from the
// database on every request.
type Sessions struct {
	store  *db.Store
	secure func(*http.Request) bool
}

var _ sessions.Store = (*Sessions)(nil)

// cookieName is the name of the cookie on the request's kind of connection.
func (s *Sessions) cookieName(r *http.Request) string {
	if s.secure(r) {
		return cookieSecure
	}
	return cookiePlain
}

// Get returns the session of a request, from the request's registry.
func (s *Sessions) Get(r *http.Request, name string) (*sessions.Session, error) {
	return sessions.GetRegistry(r).Get(s, name)
}

// New returns the session the request's cookie opens, or a new one, IsNew, if
// it opens none: there is no cookie, or its session was ended or has run out,
// or its account is disabled.
func (s *Sessions) New(r *http.Request, name string) (*sessions.Session, error) {
	se := sessions.NewSession(s, name)
	se.IsNew = true
	// No Max-Age: the browser forgets it when it is closed.
	se.Options = &sessions.Options{Path: "/", HttpOnly: true, Secure: s.secure(r), SameSite: http.SameSiteLaxMode}
	cookie, err := r.Cookie(name)
	if err != nil || len(cookie.Value) != idLength {
		return se, nil
	}
	stored, account, err := s.store.Session(r.Context(), hashID(cookie.Value))
	if errors.Is(err, db.ErrNotFound) {
		return se, nil
	}
	if err != nil {
		return se, err
	}
	if account.Disabled || !alive(stored, s.store.Now()) {
		return se, nil
	}
	se.ID, se.IsNew = cookie.Value, false
	se.Values[valueSession], se.Values[valueAccount] = stored, account
	return se, nil
}

// Save opens a session of the account in its values, which for a request that
// had one takes that one's place; gives one that is open another id; or ends it
// where Options.MaxAge is negative. It sets the cookie accordingly.
func (s *Sessions) Save(r *http.Request, w http.ResponseWriter, se *sessions.Session) error {
	by, _ := se.Values[valueActor].(db.Actor)
	stored, _ := se.Values[valueSession].(*db.Session)
	if se.Options.MaxAge < 0 {
		if stored != nil {
			by.SessionID = stored.PublicID
			err := s.store.DeleteSession(r.Context(), by, hashID(se.ID))
			if err != nil && !errors.Is(err, db.ErrNotFound) {
				return err
			}
		}
		se.ID = ""
		http.SetCookie(w, sessions.NewCookie(se.Name(), "", se.Options))
		return nil
	}
	id := newSecret()
	if se.IsNew {
		account, ok := se.Values[valueAccount].(*db.Account)
		if !ok {
			return errors.New("save a session: it has no account")
		}
		var replaces []byte
		if stored != nil {
			replaces = hashID(se.ID)
		}
		o, _ := se.Values[valueOpening].(opening)
		stored = s.start(r, account)
		in := db.SignIn{IDHash: hashID(id), Replaces: replaces, Challenge: o.challenge, Session: stored, Account: account, Method: o.method, Max: sessionsMax}
		if err := s.store.CreateSession(r.Context(), by, in); err != nil {
			return err
		}
		se.Values[valueSession] = stored
	} else {
		confirmed, _ := se.Values[valueConfirmed].(time.Time)
		if err := s.store.RenewSession(r.Context(), hashID(se.ID), hashID(id), confirmed); err != nil {
			return err
		}
		delete(se.Values, valueConfirmed)
	}
	se.ID, se.IsNew = id, false
	http.SetCookie(w, sessions.NewCookie(se.Name(), id, se.Options))
	return nil
}

// start makes the record of a session that begins now.
func (s *Sessions) start(r *http.Request, account *db.Account) *db.Session {
	now := s.store.Now()
	return &db.Session{PublicID: rand.Text()[:12], AccountID: account.ID, CreatedAt: now, SeenAt: now,
		ConfirmedAt: now, Role: account.Role,
		ExpiresAt: now.Add(sessionIdle), Address: ClientFrom(r.Context()).Address(), UserAgent: userAgent(r)}
}

// touch notes that a session is in use, at most once a minute. That it cannot
// be noted is no reason not to show a page.
func (s *Sessions) touch(ctx context.Context, id string, se *db.Session) error {
	now := s.store.Now()
	if now.Sub(se.SeenAt) < touchEvery {
		return nil
	}
	expires := now.Add(sessionIdle)
	if last := se.CreatedAt.Add(sessionAbsolute); expires.After(last) {
		expires = last
	}
	if err := s.store.TouchSession(ctx, hashID(id), now, expires); err != nil {
		return fmt.Errorf("note that session %s is in use: %w", se.PublicID, err)
	}
	return nil
}

// alive reports whether a session is still to be honoured: ExpiresAt is the
// earlier one of its idle and its absolute end. A clock that was set back ends
// it, since it must never live longer for that.
func alive(se *db.Session, now time.Time) bool {
	return now.Before(se.ExpiresAt) && now.After(se.SeenAt.Add(-clockSlack))
}

// idLength is the length of newSecret's text.
const idLength = 43

// newSecret returns 256 random bits as text that fits cookies and headers.
func newSecret() string {
	b := make([]byte, 32)
	rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

// hashID hashes the text of a secret, not the bits it spells: base64 spells the
// same bits in more than one way.
func hashID(id string) []byte {
	sum := sha256.Sum256([]byte(id))
	return sum[:]
}
