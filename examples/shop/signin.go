package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"sync"

	"golang.org/x/crypto/bcrypt"

	"github.com/auditadmin/auditadmin/audit"
)

// staffPassword is everybody's password: this is an example.
const staffPassword = "tea at five"

// mostFailures is after how many wrong passwords in a row a name is blocked.
const mostFailures = 5

func hashPassword(password string) (string, error) {
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	return string(hash), err
}

// sessions are who is signed in, by the secret in their cookie.
type sessions struct {
	mutex    sync.Mutex
	staff    map[string]uint
	failures map[string]int // in a row, by name
}

func newSessions() *sessions { return &sessions{staff: map[string]uint{}, failures: map[string]int{}} }

const cookieName = "shop"

type staffKey struct{}

// staffFrom returns who makes the request of ctx, or nil.
func staffFrom(ctx context.Context) *Staff {
	who, _ := ctx.Value(staffKey{}).(*Staff)
	return who
}

// identify finds out who makes a request, and tells the audit.
func (s *shop) identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if cookie, err := r.Cookie(cookieName); err == nil {
			s.sessions.mutex.Lock()
			id, ok := s.sessions.staff[cookie.Value]
			s.sessions.mutex.Unlock()
			var who Staff
			if ok && s.db.WithContext(r.Context()).First(&who, id).Error == nil && who.Active {
				s.is(r, &who, cookie.Value)
				r = r.WithContext(context.WithValue(r.Context(), staffKey{}, &who))
			}
		}
		next.ServeHTTP(w, r)
	})
}

// is says whose request this is, in every event of it. A session is named by a
// hash, which opens nothing.
func (s *shop) is(r *http.Request, who *Staff, session string) {
	audit.SetUser(r.Context(), audit.User{ID: strconv.FormatUint(uint64(who.ID), 10), Name: who.Name})
	sum := sha256.Sum256([]byte(session))
	audit.SetSession(r.Context(), hex.EncodeToString(sum[:8]))
}

func (s *shop) signedIn(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if staffFrom(r.Context()) == nil {
			http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// managersOnly refuses everybody else, and that is an event: log/slog is one of
// the ways to record one.
func (s *shop) managersOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if who := staffFrom(r.Context()); who.Role != "manager" {
			s.log.WarnContext(r.Context(), "a clerk asked for a page of managers", "path", r.URL.Path)
			http.Error(w, "Only a manager may see this.", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *shop) showSignIn(w http.ResponseWriter, r *http.Request) { show(w, r, signInPage, nil) }

// signIn records each attempt as what it was: a success, a failure, or one that
// was blocked before the password was even looked at.
func (s *shop) signIn(w http.ResponseWriter, r *http.Request) {
	ctx, name := r.Context(), r.PostFormValue("name")
	var who Staff
	found := s.db.WithContext(ctx).Where("name = ? AND active", name).First(&who).Error == nil

	s.sessions.mutex.Lock()
	blocked := s.sessions.failures[name] >= mostFailures
	s.sessions.mutex.Unlock()
	switch {
	case blocked:
		s.note(ctx, s.recorder.LoginBlocked(ctx, name, "too many wrong passwords"))
		http.Error(w, "Too many wrong passwords. Ask a manager.", http.StatusTooManyRequests)
		return
	case !found || bcrypt.CompareHashAndPassword([]byte(who.PasswordHash), []byte(r.PostFormValue("password"))) != nil:
		s.sessions.mutex.Lock()
		s.sessions.failures[name]++
		s.sessions.mutex.Unlock()
		s.note(ctx, s.recorder.LoginFailed(ctx, name, "wrong name or password"))
		w.WriteHeader(http.StatusUnauthorized)
		show(w, r, signInPage, "That name and password do not belong together.")
		return
	}
	session := rand.Text()
	s.sessions.mutex.Lock()
	s.sessions.staff[session] = who.ID
	delete(s.sessions.failures, name)
	s.sessions.mutex.Unlock()
	s.is(r, &who, session)
	s.note(ctx, s.recorder.LoginSucceeded(ctx, name))
	http.SetCookie(w, &http.Cookie{Name: cookieName, Value: session, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (s *shop) signOut(w http.ResponseWriter, r *http.Request) {
	if cookie, err := r.Cookie(cookieName); err == nil {
		s.sessions.mutex.Lock()
		delete(s.sessions.staff, cookie.Value)
		s.sessions.mutex.Unlock()
	}
	s.note(r.Context(), s.recorder.LoggedOut(r.Context(), staffFrom(r.Context()).Name))
	http.SetCookie(w, &http.Cookie{Name: cookieName, Path: "/", MaxAge: -1})
	http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
}

// note logs what could not be recorded. A bank would fail the request instead.
func (s *shop) note(ctx context.Context, err error) {
	if err != nil {
		s.log.ErrorContext(ctx, "not recorded", "error", err)
	}
}
