package format

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/auditadmin/auditadmin/audit"
	"github.com/auditadmin/auditadmin/internal/need"
)

// sshdLine imports one line and describes what became of it.
func sshdLine(t *testing.T, message string) string {
	t.Helper()
	r := &sshdReader{in: &Input{}, options: Options{Year: 2026}, unknown: map[string]person{}}
	return describe(r.line(visible(message)))
}

// describe says in a few words what a record is.
func describe(r Record) string {
	switch {
	case r.Err != nil:
		return "bad: " + r.Err.Error()
	case r.Ignored != "":
		return "ignored: " + r.Ignored
	}
	var all []string
	for _, e := range r.Events {
		var words []string
		if e.Kind == audit.KindLoginAttempt {
			words = []string{e.Get("status"), quote(e.Get("username")), e.Get("ip_address"), e.Get("failure_reason")}
		} else {
			words = []string{e.Get("event_type"), e.Get("error_code"), quote(e.Get("username")), e.Get("ip_address"), quote(e.Get("title"))}
		}
		all = append(all, strings.Join(words, " "))
	}
	text := strings.Join(all, " | ")
	if r.Repeat > 0 {
		text += fmt.Sprintf(" x%d", r.Repeat)
	}
	return text
}

func TestSSHDLines(t *testing.T) {
	for _, test := range []struct{ line, want string }{
		// How attempts end.
		{"sshd[7]: Accepted password for alice from 203.0.113.9 port 5022 ssh2", `SUCCESS "alice" 203.0.113.9 `},
		{"sshd-session[7]: Accepted publickey for alice from 2001:db8::9 port 5022 ssh2: ED25519 SHA256:abc", `SUCCESS "alice" 2001:db8::9 `},
		{"sshd[7]: Accepted gssapi-with-mic for alice from 203.0.113.9 port 5022 ssh2: alice@EXAMPLE.ORG", `SUCCESS "alice" 203.0.113.9 `},
		{"sshd[7]: Failed password for root from 203.0.113.9 port 5022 ssh2", `FAILED "root" 203.0.113.9 wrong password`},
		{"sshd[7]: Failed password for invalid user admin from 203.0.113.9 port 5022 ssh2", `FAILED "admin" 203.0.113.9 invalid user`},
		{"sshd[7]: Failed password for invalid user  from 203.0.113.9 port 5022 ssh2", `FAILED "" 203.0.113.9 invalid user`},
		{"sshd[7]: Failed none for invalid user a b from 203.0.113.9 port 5022 ssh2", `FAILED "a b" 203.0.113.9 invalid user`},
		{"sshd[7]: Failed publickey for git from 203.0.113.9 port 5022 ssh2: RSA SHA256:abc", `FAILED "git" 203.0.113.9 key not accepted`},
		{"host2 sshd[7]: Failed keyboard-interactive/pam for bob from 203.0.113.9 port 5022 ssh2", `FAILED "bob" 203.0.113.9 keyboard-interactive/pam not accepted`},
		{"sshd[7]: message repeated 5 times: [ Failed password for root from 203.0.113.9 port 5022 ssh2]", `FAILED "root" 203.0.113.9 wrong password x5`},
		{"sshd[7]: message repeated 99999999999999999999 times: [ Failed password for root from 203.0.113.9 port 5022 ssh2]", `FAILED "root" 203.0.113.9 wrong password`},
		{"login[9]: FAILED LOGIN (1) on '/dev/tty1' FOR 'root', Authentication failure", `FAILED "root"  refused`},
		{"vsftpd: pam_unix(vsftpd:auth): authentication failure; logname= uid=0 euid=0 tty=ftp ruser=bob rhost=203.0.113.9  user=bob", `FAILED "bob" 203.0.113.9 refused`},

		// Names that pretend to be the rest of the line.
		{"sshd[7]: Failed password for invalid user root from 198.51.100.1 port 22 ssh2 from 203.0.113.9 port 5022 ssh2", `FAILED "root from 198.51.100.1 port 22 ssh2" 203.0.113.9 invalid user`},
		{"sshd[7]: Invalid user x from 198.51.100.1 port 1 from 203.0.113.9 port 5022", `INFO invalid-user "x from 198.51.100.1 port 1" 203.0.113.9 "Sign-in of a user who does not exist"`},
		{"sshd[7]: Connection closed by invalid user x 198.51.100.1 port 1 203.0.113.9 port 5022 [preauth]", `INFO connection-ended "x 198.51.100.1 port 1" 203.0.113.9 "Connection ended"`},
		{"sshd[7]: Disconnecting invalid user x 198.51.100.1 port 1: y 203.0.113.9 port 5022: Too many authentication failures [preauth]", `INFO disconnected "x 198.51.100.1 port 1: y" 203.0.113.9 "Disconnected by the server"`},
		{"sshd[7]: Failed password for invalid user \xff\xfe from 203.0.113.9 port 5022 ssh2", `FAILED "` + "\uFFFD" + `" 203.0.113.9 invalid user`},

		// What else sshd says.
		{"sshd[7]: Invalid user  from 203.0.113.9", `INFO invalid-user "" 203.0.113.9 "Sign-in of a user who does not exist"`},
		{"sshd[7]: input_userauth_request: invalid user admin [preauth]", "ignored: " + saidAgain},
		{"sshd[7]: pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=203.0.113.9  user=root", "ignored: " + saidAgain},
		{"sshd[7]: Connection closed by 203.0.113.9 port 5022 [preauth]", `INFO connection-ended "" 203.0.113.9 "Connection ended"`},
		{"sshd[7]: Connection reset by authenticating user root 203.0.113.9 port 5022 [preauth]", `INFO connection-ended "root" 203.0.113.9 "Connection ended"`},
		{"sshd[7]: Disconnected from user alice 203.0.113.9 port 5022", `INFO connection-ended "alice" 203.0.113.9 "Connection ended"`},
		{"sshd[7]: Received disconnect from 203.0.113.9 port 5022:11: disconnected by user", `INFO disconnect-received "" 203.0.113.9 "The client asked to disconnect"`},
		{"sshd[7]: Received disconnect from 2001:db8::1: 11: Bye Bye [preauth]", `INFO disconnect-received "" 2001:db8::1 "The client asked to disconnect"`},
		{"sshd[7]: error: maximum authentication attempts exceeded for invalid user admin from 203.0.113.9 port 5022 ssh2 [preauth]", `SECURITY too-many-failures "admin" 203.0.113.9 "Too many failed attempts in one connection"`},
		{"sshd[7]: PAM 5 more authentication failures; logname= uid=0 euid=0 tty=ssh ruser= rhost=203.0.113.9  user=root", `INFO more-failures "root" 203.0.113.9 "Further failed attempts in one connection"`},
		{"sshd[7]: reverse mapping checking getaddrinfo for a.example [203.0.113.9] failed - POSSIBLE BREAK-IN ATTEMPT!", `SECURITY name-mismatch "" 203.0.113.9 "The name of the address does not lead back to it"`},
		{"sshd[7]: Did not receive identification string from 203.0.113.9 port 5022", `INFO no-ssh "" 203.0.113.9 "Connection that did not speak SSH"`},
		{`sshd[7]: Bad protocol version identification 'GET / HTTP/1.1' from 203.0.113.9 port 5022`, `INFO no-ssh "" 203.0.113.9 "Connection that did not speak SSH"`},
		{"sshd[7]: banner exchange: Connection from 203.0.113.9 port 5022: invalid format", `INFO no-ssh "" 203.0.113.9 "Connection that did not speak SSH"`},
		{"sshd[7]: User root from 203.0.113.9 not allowed because not listed in AllowUsers", `INFO user-not-allowed "root" 203.0.113.9 "Sign-in of a user who may not"`},
		{"sshd[7]: pam_unix(sshd:session): session opened for user alice(uid=1000) by (uid=0)", `INFO session-opened "alice"  "Session opened"`},
		{"sshd[7]: something nobody thought of", `INFO other ""  "something nobody thought of"`},

		{"sshd[7]: error: Received disconnect from 203.0.113.9: 14: No more user authentication methods available. [preauth]", `INFO disconnect-received "" 203.0.113.9 "The client asked to disconnect"`},
		{"sshd[7]: PAM 1 more authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=203.0.113.9 ", `INFO more-failures "" 203.0.113.9 "Further failed attempts in one connection"`},
		{"sshd[7]: User bob not allowed because account is locked", `INFO user-not-allowed "bob"  "Sign-in of a user who may not"`},
		{"sshd[7]: Failed password for bob from 2001:db8::9", `FAILED "bob" 2001:db8::9 wrong password`},
		{"sshd[7]: [ID 800047 auth.info] Failed keyboard-interactive for bob from 203.0.113.9 port 5022 ssh2", `FAILED "bob" 203.0.113.9 keyboard-interactive not accepted`},
		{"sshd[7]: error: PAM: Authentication failure for bob from 203.0.113.9 via 192.0.2.1", `INFO pam-failure "bob" 203.0.113.9 "Sign-in refused by PAM"`},
		{"sshd[7]: fatal: Write failed: Connection reset by peer [preauth]", `INFO connection-ended ""  "Connection ended"`},
		{"sshd[7]: fatal: no matching cipher found: client a server b [preauth]", `INFO no-common-cipher ""  "No cipher in common with the client"`},
		{"sshd[7]: Connection from 203.0.113.9 port 5022", `INFO connection "" 203.0.113.9 "Connection made"`},
		{"sshd[7]: refused connect from host.example (203.0.113.9)", `SECURITY connection-refused "" 203.0.113.9 "Connection refused by the rules for hosts"`},

		// PAM before 2006.
		{"sshd(pam_unix)[7]: authentication failure; logname= uid=0 euid=0 tty=NODEVssh ruser= rhost=203.0.113.9  user=root", `FAILED "root" 203.0.113.9 refused`},
		{"sshd(pam_unix)[7]: authentication failure; logname= uid=0 euid=0 tty=NODEVssh ruser= rhost=203.0.113.9 ", `FAILED "" 203.0.113.9 refused`},
		{"sshd[7]: (pam_unix) authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=host.example  user=root", `FAILED "root" host.example refused`},
		{"sshd(pam_unix)[7]: check pass; user unknown", "ignored: " + saidAgain},
		{"sshd(pam_unix)[7]: 2 more authentication failures; logname= uid=0 euid=0 tty=NODEVssh ruser= rhost=203.0.113.9 ", `INFO more-failures "" 203.0.113.9 "Further failed attempts in one connection"`},
		{"su(pam_unix)[7]: session opened for user news by (uid=0)", `INFO session-opened ""  "Session opened as news"`},
		{"pop(pam_unix)[7]: authentication failure; logname= uid=0 euid=0 tty= ruser= rhost=203.0.113.9 user=bob", `FAILED "bob" 203.0.113.9 refused`},
		{"vsftpd: pam_unix: authentication failure; logname= uid=0 euid=0 tty=ftp ruser=bob rhost=203.0.113.9 ", `FAILED "bob" 203.0.113.9 refused`},
		{" -- root[7]: ROOT LOGIN ON tty2", `SUCCESS "ROOT"  `},

		// Dropbear.
		{"dropbear[7]: Password auth succeeded for 'root' from 203.0.113.9:5022", `SUCCESS "root" 203.0.113.9 `},
		{"dropbear[7]: Pubkey auth succeeded for 'root' with ssh-ed25519 key SHA256:abc from 203.0.113.9:5022", `SUCCESS "root" 203.0.113.9 `},
		{"dropbear[7]: bad password attempt for 'root' from 203.0.113.9:5022", `FAILED "root" 203.0.113.9 wrong password`},
		{"dropbear[7]: Login attempt for nonexistent user from ::ffff:203.0.113.9:5022", `FAILED "" ::ffff:203.0.113.9 invalid user`},
		{"dropbear[7]: Exit before auth from <203.0.113.9:5022>: (user 'root', 10 fails): Max auth tries reached - user 'root'", `SECURITY too-many-failures "root" 203.0.113.9 "Too many failed attempts in one connection"`},

		// Becoming somebody else, and changing accounts.
		{"sudo:    alice : TTY=pts/0 ; PWD=/home/alice ; USER=root ; COMMAND=/usr/bin/vim /etc/a ; b", `INFO sudo-command "alice"  "As root: /usr/bin/vim /etc/a ; b"`},
		{"sudo[9]:    alice : user NOT in sudoers ; TTY=pts/0 ; PWD=/home/alice ; USER=root ; COMMAND=/bin/sh", `SECURITY sudo-refused "alice"  "sudo refused, user NOT in sudoers: /bin/sh"`},
		{"sudo:    alice : 3 incorrect password attempts ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/sh", `SECURITY sudo-refused "alice"  "sudo refused, 3 incorrect password attempts: /bin/sh"`},
		{"sudo: pam_unix(sudo:auth): authentication failure; logname=bob uid=4001 euid=0 tty=/dev/pts/12 ruser=bob rhost=  user=bob", `INFO wrong-password "bob"  "Wrong password for sudo"`},
		{"sudo: pam_unix(sudo:session): session opened for user root by alice(uid=0)", `INFO session-opened "alice"  "Session opened as root"`},
		{"su[9]: FAILED su for root by alice", `SECURITY su-refused "alice"  "Tried to become root"`},
		{"su: (to root) alice on pts/0", `INFO su "alice"  "Became root"`},
		{"su[9]: + /dev/pts/0 alice:root", "ignored: " + saidAgain},
		{"useradd[9]: new user: name=bob, UID=1001, GID=1001, home=/home/bob, shell=/bin/sh", `SECURITY account-created ""  "Account created: bob"`},
		{"usermod[9]: add 'bob' to group 'sudo'", `SECURITY group-joined ""  "bob joined the group sudo"`},
		{"usermod[9]: add 'bob' to shadow group 'sudo'", "ignored: " + saidAgain},
		{"passwd[9]: pam_unix(passwd:chauthtok): password changed for bob", `SECURITY password-changed ""  "Password changed: bob"`},
		{"userdel[9]: delete user 'bob'", `SECURITY account-deleted ""  "Account deleted: bob"`},

		// What is left out.
		{"CRON[9]: pam_unix(cron:session): session opened for user root by (uid=0)", "ignored: " + cronJob},
		{"systemd-logind[9]: New session 1 of user alice.", "ignored: " + saidAgain},
		{"kernel: eth0: link up", "ignored: " + foreign},
	} {
		if got := sshdLine(t, "Mar 27 13:06:56 web1 "+test.line); got != test.want {
			t.Errorf("%s\ngot  %s\nwant %s", test.line, got, test.want)
		}
	}
}

func TestSSHDBadLines(t *testing.T) {
	for _, line := range []string{"nonsense", "Mar 27 13:06:56", "Mar 32 13:06:56 web1 sshd[7]: x", "2026-13-01T00:00:00Z web1 sshd[7]: x", `{"a":1}`} {
		if got := sshdLine(t, line); !strings.HasPrefix(got, "bad: ") {
			t.Errorf("%q: got %s, want a bad line", line, got)
		}
	}
	if got, want := sshdLine(t, "-- Boot 0123 --"), "ignored: "+journal; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// Somebody who names an unknown user and leaves is an attempt too, once.
func TestSSHDUnknownUsers(t *testing.T) {
	lines := []string{
		"Mar 27 13:00:00 web1 sshd[1]: Invalid user pi from 203.0.113.9 port 1",
		"Mar 27 13:00:00 web1 sshd[2]: Invalid user pi from 203.0.113.9 port 2",
		"Mar 27 13:00:01 web1 sshd[2]: Failed password for invalid user pi from 203.0.113.9 port 2 ssh2",
		"Mar 27 13:00:02 web1 sshd[2]: Connection closed by invalid user pi 203.0.113.9 port 2 [preauth]",
		"Mar 27 13:00:03 web1 sshd[1]: Received disconnect from 203.0.113.9 port 1:11: Bye Bye [preauth]",
		"Mar 27 13:00:03 web1 sshd[1]: Disconnected from invalid user pi 203.0.113.9 port 1 [preauth]",
	}
	path := testFile(t, "auth.log", []byte(strings.Join(lines, "\n")))
	store, _, _ := testImport(t, "sshd", ImportOptions{Options: Options{Year: 2026}}, path)
	if got, want := store.count(audit.KindLoginAttempt, "username=pi", "status=FAILED"), 2; got != want {
		t.Errorf("attempts: got %d, want %d", got, want)
	}
	if got, want := store.count(audit.KindLoginAttempt, "session_key=sshd[1]@web1", "failure_reason=invalid user, left before a password was tried"), 1; got != want {
		t.Errorf("attempts without a password: got %d, want %d", got, want)
	}
	again(t, store, "sshd", ImportOptions{Options: Options{Year: 2026}}, path)
}

// PAM's old form is all that the general log of an old host has of attempts; beside
// what sshd says it is the same again.
func TestSSHDCountsOldPAMOnce(t *testing.T) {
	const failure = "Mar 27 13:00:00 old1 sshd(pam_unix)[2]: authentication failure; logname= uid=0 euid=0 tty=NODEVssh ruser= rhost=203.0.113.9  user=root"
	lines := []string{
		failure,
		strings.Replace(failure, "old1", "old2", 1),
		"Mar 27 13:00:01 old2 sshd[3]: Failed password for root from 203.0.113.9 port 2 ssh2",
		strings.Replace(failure, "old1", "old2", 1),
		"Mar 27 13:00:02 old2 sshd[2]: Failed password for root from 203.0.113.9 port 2 ssh2",
		failure,
	}
	path := testFile(t, "messages", []byte(strings.Join(lines, "\r\n")))
	store, _, _ := testImport(t, "sshd", ImportOptions{Options: Options{Year: 2026}}, path)
	if got, want := store.count(audit.KindLoginAttempt, "status=FAILED"), 5; got != want {
		t.Errorf("attempts: got %d, want %d", got, want)
	}
	again(t, store, "sshd", ImportOptions{Options: Options{Year: 2026}}, path)
}

// A log of one host may leave its name out, and launchd names its services.
func TestSSHDBeginnings(t *testing.T) {
	for line, want := range map[string]string{
		"Mar 27 13:06:56 sshd[7]: Accepted password for alice from 203.0.113.9 port 5022 ssh2": `SUCCESS "alice" 203.0.113.9 `,
		"Mar 27 13:06:56 mac com.apple.xpc.launchd[1] (com.example.job): Service exited":       "ignored: " + foreign,
	} {
		if got := sshdLine(t, line); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", line, got, want)
		}
	}
}

func TestSSHDTimes(t *testing.T) {
	const tail = " web1 sshd[7]: Accepted password for alice from 203.0.113.9 port 5022 ssh2"
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		need.Skip(t, "the time zone database is missing")
	}
	for _, test := range []struct {
		name  string
		o     Options
		lines []string
		want  string // the instants, or what is wrong
	}{
		{"last line not in the future", Options{}, []string{"Aug 31 10:00:00", "Sep  1 10:00:00"}, "2026-08-31T10:00:00Z 2026-09-01T10:00:00Z"},
		{"last line of last year", Options{}, []string{"Oct 31 10:00:00"}, "2025-10-31T10:00:00Z"},
		{"new year", Options{}, []string{"Dec 31 23:59:59", "Jan  1 00:00:01", "Dec 31 23:59:58", "Mar  1 00:00:00"}, "2025-12-31T23:59:59Z 2026-01-01T00:00:01Z 2025-12-31T23:59:58Z 2026-03-01T00:00:00Z"},
		{"a year given", Options{Year: 2017}, []string{"Dec 30 10:00:00", "Feb  2 10:00:00"}, "2017-12-30T10:00:00Z 2018-02-02T10:00:00Z"},
		{"leap day", Options{}, []string{"Feb 28 10:00:00", "Feb 29 10:00:00"}, "2024-02-28T10:00:00Z 2024-02-29T10:00:00Z"},
		{"no leap day", Options{Year: 2023}, []string{"Feb 28 10:00:00", "Feb 29 10:00:00"}, "2023-02-28T10:00:00Z; February 29 does not exist in 2023; say with --year in which year the file begins"},
		{"years in the lines", Options{}, []string{"2019 Mar  1 10:00:00", "Mar  1 2020 10:00:00"}, "2019-03-01T10:00:00Z 2020-03-01T10:00:00Z"},
		{"RFC 3339", Options{}, []string{"2024-05-01T12:00:00.123456+02:00", "2024-05-01T12:00:00Z"}, "2024-05-01T10:00:00.123456Z 2024-05-01T12:00:00Z"},
		{"journal", Options{}, []string{"2024-05-01T12:00:00+0200", "2024-05-01T12:00:00.5-0330"}, "2024-05-01T10:00:00Z 2024-05-01T15:30:00.5Z"},
		{"host's zone", Options{Zone: berlin}, []string{"Jan 15 12:00:00", "Jul 15 12:00:00", "2026-07-15 12:00:00"}, "2026-01-15T11:00:00Z 2026-07-15T10:00:00Z 2026-07-15T10:00:00Z"},
		{"the hour that comes twice", Options{Year: 2025, Zone: berlin}, []string{"Oct 26 02:59:59", "Oct 26 02:00:01", "Oct 26 02:30:00", "Oct 26 03:00:00"},
			"2025-10-26T00:59:59Z 2025-10-26T01:00:01Z 2025-10-26T01:30:00Z 2025-10-26T02:00:00Z"},
		{"the hour that is left out", Options{Year: 2026, Zone: berlin}, []string{"Mar 29 01:59:59", "Mar 29 02:30:00", "Mar 29 03:30:00"},
			"2026-03-29T00:59:59Z 2026-03-29T01:30:00Z 2026-03-29T01:30:00Z"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.o.Now = func() time.Time { return testNow }
			path := testFile(t, "auth.log", []byte(strings.Join(test.lines, tail+"\n")+tail))
			in, err := openInput(path, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			var times, wrong []string
			err = readSSHD(context.Background(), in, test.o, func(r Record) error {
				if r.Err != nil {
					wrong = append(wrong, "; "+r.Err.Error())
					return nil
				}
				times = append(times, r.Events[0].Time().Format(time.RFC3339Nano))
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(times, " ") + strings.Join(wrong, ""); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// The time of a packed file is when the log was last written, not when it was
// packed or copied.
func TestSSHDYearOfPackedFile(t *testing.T) {
	path := testFile(t, "auth.log", []byte("Mar 27 13:06:56 web1 sshd[7]: Accepted password for a from 203.0.113.9 port 1 ssh2\n"))
	if err := os.Chtimes(path, time.Time{}, time.Date(2019, 1, 5, 0, 0, 0, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	store, _, _ := testImport(t, "sshd", ImportOptions{}, path)
	if got, want := store.events[0].Get("timestamp"), "2018-03-27T13:06:56.000000Z"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestSSHDRealLog(t *testing.T) {
	path := need.Shared(t, "data/elastic-examples/ssh-auth.log.gz")
	raw, err := os.ReadFile(need.Shared(t, "data/elastic-examples/ssh-auth.facts.json"))
	if err != nil {
		t.Fatal(err)
	}
	var facts struct {
		Lines  int64
		Counts map[string]int
	}
	if err := json.Unmarshal(raw, &facts); err != nil {
		t.Fatal(err)
	}
	o := ImportOptions{Options: Options{Year: 2017}}
	store, summary, bad := testImport(t, "sshd", o, path)
	t.Log(summary, summary.Reasons)
	if summary.Read != facts.Lines || len(bad) > 0 {
		t.Errorf("got %d lines read and bad %q, want %d and none", summary.Read, bad, facts.Lines)
	}
	const repeatedPasswords = 410 // within the 85 "message repeated" lines
	login, system := audit.KindLoginAttempt, audit.KindSystemEvent
	for _, test := range []struct {
		what      string
		got, want int
	}{
		{"accepted", store.count(login, "status=SUCCESS"), facts.Counts["accepted_password"] + facts.Counts["accepted_publickey"]},
		{"failed password", store.count(login, "failure_reason=wrong password") + store.count(login, "failure_reason=invalid user"), facts.Counts["failed_password"] + repeatedPasswords},
		{"failed key", store.count(login, "failure_reason=key not accepted"), 4},
		{"invalid user", store.count(system, "error_code=invalid-user"), facts.Counts["invalid_user"]},
		{"invalid user, no password", store.count(login, "failure_reason=invalid user, left before a password was tried"), 86},
		{"accounts created", store.count(system, "error_code=account-created", "event_type=SECURITY"), 10},
		{"unknown lines", store.count(system, "error_code=other"), 0},
	} {
		if test.got != test.want {
			t.Errorf("%s: got %d, want %d", test.what, test.got, test.want)
		}
	}
	first, last := store.events[0], store.events[len(store.events)-1]
	if got, want := first.Get("timestamp")+" "+last.Get("timestamp"), "2017-03-27T13:06:56.000000Z 2017-04-20T14:14:29.000000Z"; got != want {
		t.Errorf("first and last: got %s, want %s", got, want)
	}
	again(t, store, "sshd", o, path)
}

// Lines that another project parses too, with what it found in them.
func TestSSHDExpectedLines(t *testing.T) {
	path := need.Shared(t, "data/crowdsec-hub/expected-lines.ndjson.gz")
	in, err := openInput(path, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	lines := 0
	err = eachLine(in.reader, maxLine, func(_ int64, line []byte, _ error) error {
		var l struct {
			Parser, Line string
			Expect       struct {
				IP     string `json:"source_ip"`
				Target string `json:"target_user"`
				User   string `json:"username"`
			}
		}
		if err := json.Unmarshal(line, &l); err != nil {
			return err
		}
		if l.Parser != "crowdsecurity/sshd-logs" && l.Parser != "crowdsecurity/pam-logs" {
			return nil
		}
		lines++
		r := (&sshdReader{in: &Input{}, options: Options{Year: 2024}, unknown: map[string]person{}}).line(l.Line)
		if len(r.Events) != 1 {
			t.Errorf("%s: got %s, want an event", l.Line, describe(r))
			return nil
		}
		e := r.Events[0]
		if got, want := e.Get("username"), firstOf(l.Expect.Target, l.Expect.User); got != want {
			t.Errorf("%s: user %q, want %q", l.Line, got, want)
		}
		if got, want := e.Get("ip_address"), l.Expect.IP; got != want {
			t.Errorf("%s: address %q, want %q", l.Line, got, want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if lines == 0 {
		t.Error("no line of sshd among the expected lines")
	}
}

func FuzzSSHD(f *testing.F) {
	sample, err := os.ReadFile(filepath.Join("testdata", "auth.log"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sample)
	f.Add([]byte("Feb 29 10:00:00 a b: c\nlast\nFeb 29 10:00:00 a last message repeated 3 times\n"))
	f.Add([]byte("<34>1 2024-05-01T12:00:00Z h sshd 7 - - Failed password for a from b port 1 ssh2"))
	f.Fuzz(func(t *testing.T, text []byte) { accounted(t, readSSHD, text) })
}

// accounted checks that a reader accounts for what it reads: every record has
// exactly one outcome, and events can be normalised or are named as bad.
func accounted(t *testing.T, read func(context.Context, *Input, Options, func(Record) error) error, text []byte) {
	in, err := openInput(StandardInput, strings.NewReader(string(text)), nil)
	if err != nil {
		return // a broken file
	}
	o := Options{Now: func() time.Time { return testNow }}
	_ = read(context.Background(), in, o, func(r Record) error {
		outcomes := 0
		for _, yes := range []bool{len(r.Events) > 0, r.Err != nil, r.Ignored != ""} {
			if yes {
				outcomes++
			}
		}
		if outcomes != 1 {
			t.Fatalf("%+v has %d outcomes, want 1", r, outcomes)
		}
		if r.Line == 0 && r.Row == "" {
			t.Fatalf("%+v has no place", r)
		}
		for _, e := range r.Events {
			if err := e.Normalize(testNow); err != nil {
				continue
			}
			line := audit.AppendJSON(nil, e, nil)
			if _, err := audit.DecodeEvent(line, audit.DecodeOptions{Import: true}); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
		}
		return nil
	})
}

// The times that journalctl writes, in every form that it offers for lines.
func TestJournalTimes(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	const message = "web sshd[7]: Accepted password for alice from 203.0.113.9 port 22 ssh2"
	for begin, want := range map[string]string{
		"Mar 01 12:00:05":                      "2026-03-01T11:00:05.000000Z",
		"2026-03-01T12:00:05+0100":             "2026-03-01T11:00:05.000000Z",
		"2026-03-01T12:00:05.123456+01:00":     "2026-03-01T11:00:05.123456Z",
		"Sun 2026-03-01 12:00:05 CET":          "2026-03-01T11:00:05.000000Z",
		"Sun 2026-03-01 11:00:05 UTC":          "2026-03-01T11:00:05.000000Z",
		"Sun 2026-03-01 11:00:05.5 UTC":        "2026-03-01T11:00:05.500000Z",
		"Sun 2026-03-01 14:00:05 +03":          "2026-03-01T11:00:05.000000Z",
		"Sun 2026-03-01 16:30:05.000001 +0530": "2026-03-01T11:00:05.000001Z",
		"1772362805.123456":                    "2026-03-01T11:00:05.123456Z",
	} {
		store, _, bad := testImport(t, "sshd", ImportOptions{Options: Options{Year: 2026, Zone: berlin}}, testFile(t, "auth.log", []byte(begin+" "+message+"\n")))
		if len(bad) > 0 || len(store.events) != 1 {
			t.Errorf("%s: got %d events and bad lines %q, want 1 and none", begin, len(store.events), bad)
			continue
		}
		if got := store.events[0].Get("timestamp"); got != want {
			t.Errorf("%s: got %s, want %s", begin, got, want)
		}
	}
}
