package authz

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"
)

// ASVS:V11.4.2
func TestPasswordsWithArgon2(t *testing.T) {
	p := NewPasswords(nil)
	hash, err := p.New(t.Context(), "ines", "caf\u00e9 by the harbour")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") || Outdated(hash) {
		t.Errorf("hash: got %q", hash)
	}
	for password, want := range map[string]bool{
		"caf\u00e9 by the harbour":  true,
		"cafe\u0301 by the harbour": true, // the same letters from another keyboard
		"Caf\u00e9 by the harbour":  false,
		"":                          false,
	} {
		if got, err := p.Verify(t.Context(), hash, password); got != want || err != nil {
			t.Errorf("Verify(%q): got %v, %v; want %v", password, got, err, want)
		}
	}
	again, err := p.New(t.Context(), "ines", "caf\u00e9 by the harbour")
	if err != nil || again == hash {
		t.Errorf("a second hash of one password: got the same, %v", err)
	}
}

// ASVS:V11.2.1
func TestVerifyReadsHashesOfOthers(t *testing.T) {
	// Made by the reference implementation: echo -n password | argon2 somesalt -id -t 2 -m 16 -p 1
	const reference = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	p := NewPasswords(nil)
	if got, err := p.Verify(t.Context(), reference, "password"); !got || err != nil {
		t.Errorf("the reference vector: got %v, %v; want true", got, err)
	}
}

// TestT7_OneKeyForEveryAttempt: whatever is known of a name, one key is derived.
func TestT7_OneKeyForEveryAttempt(t *testing.T) {
	salt, key := "c29tZXNhbHRzb21lc2Fs", "CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	for name, c := range map[string]struct {
		hash     string
		outdated bool
	}{
		"now":             {"$argon2id$v=19$m=19456,t=2,p=1$" + salt + "AAAA$" + key, false},
		"less memory":     {"$argon2id$v=19$m=4096,t=3,p=1$" + salt + "AAAA$" + key, true},
		"less time":       {"$argon2id$v=19$m=19456,t=1,p=1$" + salt + "AAAA$" + key, true},
		"short salt":      {"$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$" + key, true},
		"no account":      {"", true},
		"another scheme":  {"$argon2i$v=19$m=19456,t=2,p=1$" + salt + "$" + key, true},
		"another version": {"$argon2id$v=16$m=19456,t=2,p=1$" + salt + "$" + key, true},
		"bcrypt":          {"$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy", true},
		"no salt":         {"$argon2id$v=19$m=19456,t=2,p=1$$" + key, true},
		"bad base64":      {"$argon2id$v=19$m=19456,t=2,p=1$!!!!$" + key, true},
		"zero cost":       {"$argon2id$v=19$m=0,t=0,p=0$" + salt + "$" + key, true},
		"hostile memory":  {"$argon2id$v=19$m=4194304,t=2,p=1$" + salt + "$" + key, true},
		"hostile time":    {"$argon2id$v=19$m=19456,t=4000000,p=1$" + salt + "$" + key, true},
		"more after cost": {"$argon2id$v=19$m=19456,t=2,p=1,x=1$" + salt + "$" + key, true},
	} {
		calls := 0
		p := NewPasswords(func(_, salt []byte, time, memory uint32, threads uint8, n uint32) []byte {
			calls++
			if memory > maxCost.memory || time > maxCost.time || threads > maxCost.threads {
				t.Errorf("%s: asked for a cost of %d KiB, %d times", name, memory, time)
			}
			return make([]byte, n) // the key of a hash that does not exist would be zeros
		})
		ok, err := p.Verify(t.Context(), c.hash, "whatever it is, it is wrong")
		if ok || err != nil || calls != 1 {
			t.Errorf("%s: got %v, %v and %d keys; want false and 1", name, ok, err, calls)
		}
		if got := Outdated(c.hash); got != c.outdated {
			t.Errorf("%s: outdated: got %v, want %v", name, got, c.outdated)
		}
		// Too long for any account: nothing is derived, known or not.
		if ok, err := p.Verify(t.Context(), c.hash, strings.Repeat("x", 1025)); ok || err != nil || calls != 1 {
			t.Errorf("%s: 1,025 bytes: got %v, %v and %d keys in all; want false and 1", name, ok, err, calls)
		}
	}
}

func FuzzParseHash(f *testing.F) {
	f.Add("$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc")
	f.Add("$argon2id$v=19$m=+1,t=02,p=256$$")
	f.Fuzz(func(t *testing.T, hash string) {
		c, salt, key, err := parseHash(hash)
		if err != nil {
			return
		}
		if c.memory > maxCost.memory || c.time > maxCost.time || c.threads > maxCost.threads || c.threads == 0 || len(salt) < 8 || len(key) < 16 || len(key) > 64 {
			t.Errorf("parseHash(%q): got cost %+v, %d bytes of salt, %d of key", hash, c, len(salt), len(key))
		}
	})
}

func TestPasswordsWaitTheirTurn(t *testing.T) {
	enter, leave := make(chan bool), make(chan bool)
	p := NewPasswords(func(_, _ []byte, _, _ uint32, _ uint8, n uint32) []byte {
		enter <- true
		<-leave
		return make([]byte, n)
	})
	cores := runtime.GOMAXPROCS(0)
	for range cores {
		go p.Verify(context.Background(), "", "x")
		<-enter
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := p.Verify(ctx, "", "x"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("one more than there are cores: got %v, want the deadline", err)
	}
	for range cores {
		leave <- true
	}
}

// ASVS:V6.2.1 ASVS:V6.2.5 ASVS:V6.2.9 ASVS:V6.2.11
func TestCheckPassword(t *testing.T) {
	for password, problem := range map[string]string{
		"a lamp over the harbour":                              "",
		"PURPLE LAMPS sing at 4":                               "",
		"correct horse battery staple":                         "",
		"ines.roth-password-123":                               "",
		strings.Repeat("horse é ", 9):                          "", // 81 bytes
		strings.Repeat("0123456789abcdefghijklmnoprstuvz", 32): "", // 1,024 bytes
		strings.Repeat("abcdefg-", 128) + "x":                  "1025 bytes",
		"short":                                                "5 characters",
		"fourteen chars":                                       "14 characters",
		"éééééééééééééé":                                       "14 characters",
		"aaaaaaaaaaaaaaaaaaaa":                                 "first guesses",
		"ababababababababab":                                   "first guesses",
		"passwordpassword":                                     "first guesses",
		"123456789012345":                                      "first guesses",
		"qwertyuiopasdfghjkl":                                  "first guesses",
		"ines.roth-ines.roth-1":                                "first guesses",
		"auditadmin-administrator":                             "first guesses",
		"a lamp over \xff the sea":                             "UTF-8",
	} {
		err := CheckPassword("Ines.Roth", password)
		if problem == "" && err != nil || problem != "" && (!errors.Is(err, ErrPassword) || !strings.Contains(err.Error(), problem)) {
			t.Errorf("CheckPassword(%.40q): got %v, want %q", password, err, problem)
		}
	}
}

func BenchmarkHash(b *testing.B) {
	p := NewPasswords(argon2.IDKey)
	for b.Loop() {
		if _, err := p.Verify(b.Context(), "", "a lamp over the harbour"); err != nil {
			b.Fatal(err)
		}
	}
}
