package format

import (
	"regexp"
	"strings"
)

// program is what is known of the lines of some programs.
type program struct {
	names  []string // without path; the first one is the module of its events
	rules  []rule   // the first that matches decides
	others rule     // for a line that no rule matches
}

// rule says what becomes of a line whose message it matches: a login attempt
// where it has a status, a system event where it has a type, else the line is
// ignored for a reason. Of the groups of the expression, user and ip fill the
// fields of these names, and all others go to the metadata.
type rule struct {
	match pattern

	status string // of a login attempt
	reason string // failure_reason; empty is derived from the method

	event string // type of a system event
	code  string // its error_code: one word for all events of the rule
	title string // may name groups: ${user}; the message itself if it is empty

	ignored string

	// unknown marks the line that says that a user does not exist, and ends the
	// line with which a connection goes away.
	unknown, ends bool

	// ifSilent: the line counts only in a log of a host whose sshd does not say
	// itself how attempts ended; else it says that again.
	ifSilent bool
}

// Why a line is left out on purpose.
const (
	saidAgain = "says again what another line says"
	itself    = "a step of the program itself"
	cronJob   = "a session of a scheduled job"
	foreign   = "a line of another program"
	journal   = "a remark of the journal"
)

const (
	from = ` from (?P<ip>\S+)(?: port (?P<port>\d+))?`
	// What PAM says at the end of a failure; root is a user of the host, ruser one
	// of the client.
	rhost = ` rhost=(?P<ip>\S*)(?:\s+user=(?P<user>.*?))?(?:\s+rhost=\S*)?\s*$`
	// What comes before an address in newer versions. A name may hold anything,
	// so addresses are looked for from the right.
	whose = `(?:(?P<state>invalid user|authenticating user|user) (?P<user>.*?) )?(?P<ip>\S+)(?: port (?P<port>\d+))?`
	// Where a name is given back in a line, what follows it is matched up to the
	// end: text like this within a name is taken for a part of the name.
	pre = `(?: \[preauth\])?$`
)

// pattern is an expression and the letters with which all that it matches
// begins: most rules are passed over by looking at those.
type pattern struct {
	*regexp.Regexp
	prefix string
}

func re(expression string) pattern {
	p := pattern{Regexp: regexp.MustCompile(expression)}
	letters, ok := strings.CutPrefix(expression, "^")
	if end := strings.IndexAny(letters, `\.+*?()|[]{}^$`); ok && end > 0 {
		if strings.IndexByte("*?{", letters[end]) >= 0 {
			end-- // the last letter may be missing
		}
		p.prefix = letters[:end]
	}
	return p
}

func (p pattern) find(message string) []int {
	if !strings.HasPrefix(message, p.prefix) {
		return nil
	}
	return p.FindStringSubmatchIndex(message)
}

// programs is the one table of what system logs say.
var programs = []program{
	{
		names: []string{"sshd", "sshd-session", "sshd-auth"},
		rules: []rule{
			{match: re(`^Accepted (?P<method>\S+) for (?P<user>.*) from (?P<ip>\S+) port (?P<port>\d+)(?: ssh\d)?(?:: (?P<key>.*))?$`), status: "SUCCESS"},
			{match: re(`^Failed (?P<method>\S+) for (?P<unknown_user>(?:invalid|illegal) user )?(?P<user>.*)` + from + `(?: ssh\d)?(?:: (?P<key>.*))?$`), status: "FAILED"},
			{match: re(`^(?:Invalid|Illegal) user (?P<user>.*)` + from + pre), event: "INFO", code: "invalid-user", title: "Sign-in of a user who does not exist", unknown: true},
			{match: re(`^input_userauth_request: (?:invalid|illegal) user `), ignored: saidAgain},
			{match: re(`^pam_\w+\(sshd:auth\): (?P<count>\d+) more authentication failures?;.*` + rhost), event: "INFO", code: "more-failures", title: "Further failed attempts in one connection"},
			{match: re(`^pam_\w+\(sshd:auth\): authentication failure;.*` + rhost), status: "FAILED", reason: "refused", ifSilent: true},
			{match: re(`^pam_\w+\(sshd:auth\): (?:authentication failure|check pass|bad username)`), ignored: saidAgain},
			{match: re(`^PAM service\(sshd\) ignoring max retries`), ignored: saidAgain},
			{match: re(`^Postponed `), ignored: itself},
			{match: re(`^User child is on pid `), ignored: itself},
			{match: re(`^Partial (?P<method>\S+) for (?P<user>.*) from (?P<ip>\S+) port (?P<port>\d+)(?: ssh\d)?`), event: "INFO", code: "partial-sign-in", title: "First of several proofs accepted"},
			{match: re(`^Connection (?P<end>closed|reset) by ` + whose + pre), event: "INFO", code: "connection-ended", title: "Connection ended", ends: true},
			{match: re(`^Disconnected from ` + whose + pre), event: "INFO", code: "connection-ended", title: "Connection ended", ends: true},
			{match: re(`^(?:error: )?Received disconnect from (?P<ip>\S+) port (?P<port>\d+): ?(?P<disconnect>\d+): ?(?P<words>.*?)` + pre), event: "INFO", code: "disconnect-received", title: "The client asked to disconnect", ends: true},
			{match: re(`^(?:error: )?Received disconnect from (?P<ip>\S+): (?P<disconnect>\d+): ?(?P<words>.*?)` + pre), event: "INFO", code: "disconnect-received", title: "The client asked to disconnect", ends: true},
			{match: re(`^Disconnecting (?P<state>invalid user|authenticating user|user) (?P<user>.*) (?P<ip>\S+) port (?P<port>\d+): (?P<words>.*?)` + pre), event: "INFO", code: "disconnected", title: "Disconnected by the server", ends: true},
			{match: re(`^Disconnecting: Too many authentication failures for (?P<user>.*?)` + pre), event: "SECURITY", code: "too-many-failures", title: "Too many failed attempts in one connection", ends: true},
			{match: re(`^Disconnecting: (?P<words>.*?)` + pre), event: "INFO", code: "disconnected", title: "Disconnected by the server", ends: true},
			{match: re(`^(?:error: )?maximum authentication attempts exceeded for (?P<unknown_user>invalid user )?(?P<user>.*) from (?P<ip>\S+) port (?P<port>\d+)(?: ssh\d)?` + pre), event: "SECURITY", code: "too-many-failures", title: "Too many failed attempts in one connection"},
			{match: re(`^PAM (?P<count>\d+) more authentication failures?;.*` + rhost), event: "INFO", code: "more-failures", title: "Further failed attempts in one connection"},
			{match: re(`^reverse mapping checking getaddrinfo for (?P<name>\S+)(?: \[(?P<ip>[^\]]+)\])? failed`), event: "SECURITY", code: "name-mismatch", title: "The name of the address does not lead back to it"},
			{match: re(`^Address (?P<ip>\S+) maps to (?P<name>\S+), but this does not map back`), event: "SECURITY", code: "name-mismatch", title: "The name of the address does not lead back to it"},
			{match: re(`POSSIBLE BREAK-IN ATTEMPT`), event: "SECURITY", code: "break-in-attempt", title: "Possible break-in attempt"},
			{match: re(`^Did not receive identification string` + from), event: "INFO", code: "no-ssh", title: "Connection that did not speak SSH"},
			{match: re(`^Bad protocol version identification '(?P<sent>.*)'` + from), event: "INFO", code: "no-ssh", title: "Connection that did not speak SSH"},
			{match: re(`^(?:error: )?banner exchange: Connection` + from), event: "INFO", code: "no-ssh", title: "Connection that did not speak SSH"},
			{match: re(`^(?:error: )?kex_exchange_identification: `), event: "INFO", code: "no-ssh", title: "Connection that did not speak SSH"},
			{match: re(`^(?:fatal: |error: )?Unable to negotiate with (?P<ip>\S+)(?: port (?P<port>\d+))?: (?P<words>.*?)` + pre), event: "INFO", code: "no-common-cipher", title: "No cipher in common with the client", ends: true},
			{match: re(`^fatal: (?:no matching \w+ found|Unable to negotiate a key exchange method)`), event: "INFO", code: "no-common-cipher", title: "No cipher in common with the client", ends: true},
			{match: re(`^fatal: (?:Read from socket|Write) failed: (?P<words>.*?)` + pre), event: "INFO", code: "connection-ended", title: "Connection ended", ends: true},
			{match: re(`^ssh_dispatch_run_fatal: Connection` + from + `: (?P<words>.*?)` + pre), event: "INFO", code: "connection-ended", title: "Connection ended", ends: true},
			{match: re(`^refused connect from .*?\(?(?P<ip>[^\s()]+)\)?$`), event: "SECURITY", code: "connection-refused", title: "Connection refused by the rules for hosts"},
			{match: re(`^pam_\w+\(sshd:session\): session opened for user (?P<user>[^ (]*)`), event: "INFO", code: "session-opened", title: "Session opened"},
			{match: re(`^pam_\w+\(sshd:session\): session closed for user (?P<user>.*)$`), event: "INFO", code: "session-closed", title: "Session closed"},
			{match: re(`^Connection` + from + `(?: on (?P<server>\S+) port (?P<server_port>\d+).*)?$`), event: "INFO", code: "connection", title: "Connection made"},
			{match: re(`^Starting session: (?P<what>.*) for (?P<user>\S+) from (?P<ip>\S+) port (?P<port>\d+)`), event: "INFO", code: "session-started", title: "Started: ${what}"},
			{match: re(`^Close session: user (?P<user>\S+) from (?P<ip>\S+) port (?P<port>\d+)`), event: "INFO", code: "session-closed", title: "Session closed"},
			{match: re(`^User (?P<user>.*)` + from + ` not allowed because (?P<words>.*)$`), event: "INFO", code: "user-not-allowed", title: "Sign-in of a user who may not"},
			{match: re(`^User (?P<user>.*) not allowed because (?P<words>.*)$`), event: "INFO", code: "user-not-allowed", title: "Sign-in of a user who may not"},
			{match: re(`^ROOT LOGIN REFUSED FROM (?P<ip>\S+)(?: port (?P<port>\d+))?`), event: "SECURITY", code: "root-refused", title: "Sign-in of root refused"},
			{match: re(`^Authentication tried for (?P<user>.*) with correct key but not from a permitted host`), event: "SECURITY", code: "wrong-host", title: "The right key from a host that is not permitted"},
			{match: re(`^Authentication refused: `), event: "SECURITY", code: "authentication-refused"},
			{match: re(`^error: PAM: (?P<words>.*) for (?P<unknown_user>illegal user )?(?P<user>.*) from (?P<ip>\S+)(?: via (?P<server>\S+))?\s*$`), event: "INFO", code: "pam-failure", title: "Sign-in refused by PAM"},
			{match: re(`^(?:fatal: )?Timeout before authentication for (?:connection from )?(?P<ip>\S+)(?: port (?P<port>\d+))?`), event: "INFO", code: "timeout", title: "No sign-in in time", ends: true},
			{match: re(`^drop connection #\d+ from \[(?P<ip>[^\]]+)\]:(?P<port>\d+)`), event: "SECURITY", code: "connections-dropped", title: "Connections dropped: too many at a time"},
			{match: re(`^(?:error: )?beginning MaxStartups throttling`), event: "SECURITY", code: "connections-dropped", title: "Connections dropped: too many at a time"},
			{match: re(`^Server listening on (?P<server>\S+) port (?P<server_port>\d+)`), event: "INFO", code: "server-started", title: "Server listening on ${server} port ${server_port}"},
			{match: re(`^Received (?:signal (?P<signal>\d+)|SIG\w+)`), event: "INFO", code: "server-stopped"},
		},
		others: rule{event: "INFO", code: "other"},
	},
	{
		names: []string{"dropbear"},
		rules: []rule{
			{match: re(`^(?P<method>Password|Pubkey|PAM password) auth succeeded for '(?P<user>.*?)'(?: with (?P<key>.*?))? from <?(?P<ip>\S+):(?P<port>\d+)>?$`), status: "SUCCESS"},
			{match: re(`^[Bb]ad (?:PAM )?password attempt for '(?P<user>.*)' from <?(?P<ip>\S+):(?P<port>\d+)>?$`), status: "FAILED", reason: "wrong password"},
			{match: re(`^[Ll]ogin attempt (?P<unknown_user>for nonexistent user)(?: '(?P<user>.*)')? from <?(?P<ip>\S+):(?P<port>\d+)>?$`), status: "FAILED"},
			{match: re(`^Child connection from <?(?P<ip>\S+):(?P<port>\d+)>?$`), event: "INFO", code: "connection", title: "Connection made"},
			{match: re(`^Exit before auth from <(?P<ip>\S+):(?P<port>\d+)>: .*Max auth tries reached - user '(?P<user>.*)'$`), event: "SECURITY", code: "too-many-failures", title: "Too many failed attempts in one connection"},
			{match: re(`^Exit before auth .*Max auth tries reached - user '(?P<user>.*?)'(?: from (?P<ip>\S+):(?P<port>\d+))?$`), event: "SECURITY", code: "too-many-failures", title: "Too many failed attempts in one connection"},
			{match: re(`^Exit before auth(?: from <(?P<ip>\S+):(?P<port>\d+)>)?`), event: "INFO", code: "connection-ended", title: "Connection ended"},
			{match: re(`^Exit \((?P<user>.*?)\)(?: from <(?P<ip>\S+):(?P<port>\d+)>)?: `), event: "INFO", code: "connection-ended", title: "Connection ended"},
		},
		others: rule{event: "INFO", code: "other"},
	},
	{
		names: []string{"sudo"},
		rules: []rule{
			{match: re(`^(?P<user>.+?) : ` + sudoDetails), event: "INFO", code: "sudo-command", title: "As ${run_as}: ${command}"},
			{match: re(`^(?P<user>.+?) : (?P<problem>[^;=]+?) ; ` + sudoDetails), event: "SECURITY", code: "sudo-refused", title: "sudo refused, ${problem}: ${command}"},
			{match: re(`^(?P<user>.+?) : \(command continued\) (?P<command>.*)$`), event: "INFO", code: "sudo-command", title: "… ${command}"},
			{match: re(`^pam_\w+\(sudo(?:-i)?:auth\): authentication failure;.* ruser=(?P<user>\S*)`), event: "INFO", code: "wrong-password", title: "Wrong password for sudo"},
			{match: re(`^pam_tally2?\(\S+\): user (?P<user>\S+) \(\d+\) tally (?P<count>\d+), deny (?P<deny>\d+)`), event: "SECURITY", code: "account-locked", title: "Account locked after failed attempts"},
			{match: re(`^pam_\w+\(sudo(?:-i)?:session\): session opened for user (?P<run_as>[^ (]*)(?:\(uid=\d+\))? by (?P<user>[^ (]*)`), event: "INFO", code: "session-opened", title: "Session opened as ${run_as}"},
			{match: re(`^pam_\w+\(sudo(?:-i)?:session\): session closed for user (?P<run_as>.*)$`), event: "INFO", code: "session-closed", title: "Session closed as ${run_as}"},
		},
		others: rule{event: "INFO", code: "other"},
	},
	{
		names: []string{"su", "su-l"},
		rules: []rule{
			{match: re(`^Successful su for (?P<run_as>.*) by (?P<user>.*)$`), event: "INFO", code: "su", title: "Became ${run_as}"},
			{match: re(`^\(to (?P<run_as>[^)]*)\) (?P<user>\S+) on (?P<tty>\S+)$`), event: "INFO", code: "su", title: "Became ${run_as}"},
			{match: re(`^FAILED su for (?P<run_as>.*) by (?P<user>.*)$`), event: "SECURITY", code: "su-refused", title: "Tried to become ${run_as}"},
			{match: re(`^FAILED SU \(to (?P<run_as>[^)]*)\) (?P<user>\S+) on (?P<tty>\S+)`), event: "SECURITY", code: "su-refused", title: "Tried to become ${run_as}"},
			{match: re(`^[+-] \S+ [^:]*:\S*$`), ignored: saidAgain},
			{match: re(`^pam_systemd\(su(?:-l)?:session\): Cannot create session`), ignored: itself},
			{match: re(`^pam_\w+\(su(?:-l)?:auth\): authentication failure;.* ruser=(?P<user>\S*)`), event: "INFO", code: "wrong-password", title: "Wrong password for su"},
			{match: re(`^pam_\w+\(su(?:-l)?:session\): session opened for user (?P<run_as>[^ (]*)(?:\(uid=\d+\))? by (?P<user>[^ (]*)`), event: "INFO", code: "session-opened", title: "Session opened as ${run_as}"},
			{match: re(`^pam_\w+\(su(?:-l)?:session\): session closed for user (?P<run_as>.*)$`), event: "INFO", code: "session-closed", title: "Session closed as ${run_as}"},
		},
		others: rule{event: "INFO", code: "other"},
	},
	{
		names: []string{"useradd", "userdel", "usermod", "groupadd", "groupdel", "groupmod", "passwd", "chpasswd", "chage", "gpasswd", "chsh", "chfn", "newusers", "adduser", "deluser"},
		rules: []rule{
			{match: re(`^new user: name=(?P<account>[^,]*)`), event: "SECURITY", code: "account-created", title: "Account created: ${account}"},
			{match: re(`^new group: name=(?P<group>[^,]*)`), event: "SECURITY", code: "group-created", title: "Group created: ${group}"},
			{match: re(`^group added to /etc/`), ignored: saidAgain},
			{match: re(`^failed adding user '(?P<account>[^']*)'`), event: "INFO", code: "account-not-created", title: "Account not created: ${account}"},
			{match: re(`^delete user '(?P<account>[^']*)'`), event: "SECURITY", code: "account-deleted", title: "Account deleted: ${account}"},
			{match: re(`^add '(?P<account>[^']*)' to group '(?P<group>[^']*)'`), event: "SECURITY", code: "group-joined", title: "${account} joined the group ${group}"},
			{match: re(`^delete '(?P<account>[^']*)' from group '(?P<group>[^']*)'`), event: "SECURITY", code: "group-left", title: "${account} left the group ${group}"},
			{match: re(`^(?:add|delete) '[^']*' (?:to|from) shadow group `), ignored: saidAgain},
			{match: re(`^change user '(?P<account>[^']*)' (?P<what>.*)$`), event: "SECURITY", code: "account-changed", title: "Account changed: ${account}, ${what}"},
			{match: re(`^pam_\w+\(\w+:chauthtok\): user "(?P<account>.*)" does not exist`), event: "INFO", code: "no-such-account", title: "No such account: ${account}"},
			{match: re(`^pam_\w+\(\w+:chauthtok\): password changed for (?P<account>.*)$`), event: "SECURITY", code: "password-changed", title: "Password changed: ${account}"},
			{match: re(`^password for '?(?P<account>[^']*?)'? changed by '?(?P<user>[^']*?)'?$`), event: "SECURITY", code: "password-changed", title: "Password changed: ${account}"},
		},
		others: rule{event: "SECURITY", code: "account-changed"},
	},
	{
		names: []string{"login"},
		rules: []rule{
			{match: re(`^FAILED LOGIN \((?P<count>\d+)\) on '(?P<tty>[^']*)'(?: from '(?P<ip>[^']*)')? FOR '(?P<user>.*)', (?P<words>.*)$`), status: "FAILED", reason: "refused"},
			{match: re(`^LOGIN ON (?P<tty>\S+) BY (?P<user>\S+)(?: FROM (?P<ip>\S+))?$`), status: "SUCCESS"},
			{match: re(`^(?P<user>ROOT|root) LOGIN +ON (?P<tty>\S+)(?: FROM (?P<ip>\S+))?$`), status: "SUCCESS"},
			{match: re(`^pam_\w+\(login:auth\): (?:authentication failure|check pass)`), ignored: saidAgain},
		},
		others: rule{event: "INFO", code: "other"},
	},
	{
		names: []string{"CRON", "cron", "crond", "atd"},
		rules: []rule{
			{match: re(`^pam_\w+\((?:cron|crond|atd):session\): `), ignored: cronJob},
			{match: re(`^\(\S+\) (?:CMD|END|RELOAD|LIST|BEGIN EDIT|END EDIT|REPLACE) `), ignored: cronJob},
		},
		others: rule{event: "INFO", code: "other"},
	},
	{
		names: []string{"systemd-logind"},
		rules: []rule{
			{match: re(`^(?:New session|Removed session|Session) \S+`), ignored: saidAgain},
			{match: re(`^(?:Watching system buttons|New seat)`), ignored: itself},
			{match: re(`^(?:System is |The system will |Power key|Suspend)`), event: "INFO", code: "power"},
		},
		others: rule{event: "INFO", code: "other"},
	},
	{
		names: []string{"systemd", "(systemd)"},
		rules: []rule{
			{match: re(`^pam_\w+\(systemd-user:session\): `), ignored: saidAgain},
		},
		others: rule{ignored: foreign},
	},
	{
		names: []string{"polkitd", "pkexec"},
		rules: []rule{
			{match: re(`FAILED to authenticate`), event: "SECURITY", code: "authorization-refused"},
			{match: re(`^(?P<user>\S+): Executing command .*\[COMMAND=(?P<command>.*)\]$`), event: "INFO", code: "pkexec-command", title: "With pkexec: ${command}"},
		},
		others: rule{ignored: itself},
	},
	{
		// Every other program: what PAM says of it is about signing in.
		rules: []rule{
			{match: re(`^pam_\w+\((?P<service>[^:)]+):auth\): (?P<count>\d+) more authentication failures?;.*` + rhost), event: "INFO", code: "more-failures", title: "Further failed attempts in one connection"},
			{match: re(`^pam_\w+\((?P<service>[^:)]+):auth\): authentication failure;.* ruser=(?P<user>\S+) rhost=(?P<ip>\S*)(?:\s+rhost=\S*)?\s*$`), status: "FAILED", reason: "refused"},
			{match: re(`^pam_\w+\((?P<service>[^:)]+):auth\): authentication failure;.*` + rhost), status: "FAILED", reason: "refused"},
			{match: re(`^(?P<user>ROOT) LOGIN +ON (?P<tty>\S+)(?: FROM (?P<ip>\S+))?$`), status: "SUCCESS"}, // an old login goes by the user's name
			{match: re(`^pam_\w+\((?P<service>[^:)]+):auth\): check pass; user unknown`), ignored: saidAgain},
			{match: re(`^pam_\w+\((?P<service>[^:)]+):session\): session opened for user (?P<user>[^ (]*)`), event: "INFO", code: "session-opened", title: "Session opened"},
			{match: re(`^pam_\w+\((?P<service>[^:)]+):session\): session closed for user (?P<user>.*)$`), event: "INFO", code: "session-closed", title: "Session closed"},
			{match: re(`^pam_tally2?\(\S+\): user (?P<user>\S+) \(\d+\) tally (?P<count>\d+), deny (?P<deny>\d+)`), event: "SECURITY", code: "account-locked", title: "Account locked after failed attempts"},
		},
		others: rule{ignored: foreign},
	},
}

// sudoDetails is the end of a line of sudo. Directory and command come from the
// user and may hold text of the same form: the leftmost reading counts, and the
// description keeps the whole.
const sudoDetails = `(?:HOST=(?P<on_host>[^;]*) ; )?(?:TTY=(?P<tty>[^;]*) ; )?(?:CHROOT=(?P<chroot>[^;]*) ; )?(?:PWD=(?P<directory>.*?) ; )?` +
	`(?:USER=(?P<run_as>[^;]*) ; )?(?:GROUP=(?P<run_as_group>[^;]*) ; )?(?:TSID=(?P<tsid>\S+) ; )?(?:ENV=(?P<env>.*?) ; )?COMMAND=(?P<command>.*)$`
