package demo

import (
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/auditadmin/auditadmin/audit"
)

// months is how long the trail of the group is, and early how many days before
// its beginning the oldest of its objects came up.
const months, early = 24, 200

// group is the group of companies that the shop belongs to: sixty systems,
// thousands of people, two years. It makes a trail large, and fast: what an
// object looks like follows from its number and from how often each of its
// fields was changed, so that nothing else has to be kept, and an event is
// written into one piece of text. It keeps no more than what may be asked for
// next, however many events there are.
type group struct {
	*rand.Rand
	n            int // audit logs wanted
	start, until time.Time
	busyness     []float64 // of each day

	people   []*member // the busiest first
	machines []*member
	byRank   *rand.Zipf // chooses a member
	byFame   *rand.Zipf // chooses a system
	systems  []*system

	// How many of each were planned so far.
	audits, logins, attempts, exports, troubles int

	slot     time.Time // the one that is being planned, or that happens
	requests []request // of the slot
	todo     []uint64  // when, in microseconds from the slot, and which request
	text     []byte    // of the event that is being written
	ends     []int     // where its parts end
}

// request is something that somebody asks of a system, in one event or many.
type request struct {
	what
	who    *member
	login  *login
	id     string
	system *system
	stock  *stock // where all of it is about one type of object
	action string // where all of it is one action
	n      int    // counts its events
}

// what says which event a request makes.
type what int

const (
	works what = iota
	comes
	goes
	tries
	fails
	takesOut
	breaks
)

func newGroup(seed uint64, n int, until time.Time) *group {
	g := &group{
		Rand:    rand.New(rand.NewPCG(seed, 0x67726f7570)),
		n:       n,
		start:   until.AddDate(0, -months, 0),
		until:   until,
		systems: newSystems(until.AddDate(0, -months, -early)),
	}
	g.people, g.machines = g.hire(int(3464 * root(float64(n)/1e7)))
	g.byRank = rand.NewZipf(g.Rand, 1.25, 9, uint64(len(g.people)-1))
	g.byFame = rand.NewZipf(g.Rand, 1.4, 6, uint64(len(g.systems)-1))
	for range int(until.Sub(g.start)/(24*time.Hour)) + 2 {
		g.busyness = append(g.busyness, 0.8+0.4*g.Float64())
	}
	for _, s := range g.systems {
		for _, t := range s.stocks {
			for range 40 {
				t.add(uint16(g.IntN(early)))
			}
		}
	}
	return g
}

// events runs the group slot by slot.
func (g *group) events() iter.Seq[*audit.Event] {
	return func(yield func(*audit.Event) bool) {
		last := g.until.Add(-3 * slot)
		total, done := 0.0, 0.0
		for t := g.start; t.Before(last); t = t.Add(slot) {
			people, machines := g.traffic(t)
			total += people + machines
		}
		for t := g.start; t.Before(last); t = t.Add(slot) {
			people, machines := g.traffic(t)
			done += people + machines
			want := int(float64(g.n) * done / total)
			if !t.Add(slot).Before(last) {
				want = g.n // whatever the rounding
			}
			if want == g.audits {
				continue
			}
			g.plan(t, want, people/(people+machines))
			for _, next := range g.todo {
				if !yield(g.happen(&g.requests[next&0xffffff], time.Duration(next>>24)*time.Microsecond)) {
					return
				}
			}
		}
	}
}

// traffic is how much people and machines do around an instant, in no
// particular unit.
func (g *group) traffic(t time.Time) (people, machines float64) {
	byHour := [24]float64{
		1, 0.6, 0.5, 0.6, 1, 2, 6, 17, 31, 38, 40, 36, 27, 33, 38, 37, 33, 24, 13, 8, 6, 5, 3, 2,
	}
	local := t.In(zone)
	people = byHour[local.Hour()]
	machines = 3.5
	if hour := local.Hour(); hour >= 1 && hour < 5 {
		machines = 14 // what is done every night
	}
	if day := local.Weekday(); day == time.Saturday || day == time.Sunday {
		people *= 0.14
	}
	if _, month, day := local.Date(); day >= 27 || day <= 3 && month != time.January {
		people *= 1.25 // accounts are closed
	} else if month == time.January && day <= 3 || month == time.August {
		people *= 0.6
	}
	day := int(t.Sub(g.start) / (24 * time.Hour))
	factor := (0.75 + 0.5*float64(day)/float64(len(g.busyness))) * g.busyness[day]
	return people * factor, machines * factor
}

// plan decides what happens in a slot, until so many audit logs are planned in
// all. Of the other kinds there come as many as belong to them.
func (g *group) plan(t time.Time, want int, share float64) {
	g.slot, g.requests, g.todo = t, g.requests[:0], g.todo[:0]
	for g.audits < want {
		// A job makes eight times as many events as a visit.
		if g.Float64()*(share+(1-share)/8) < share {
			g.visit(want - g.audits)
		} else {
			g.job(want - g.audits)
		}
	}
	for g.attempts < g.audits/10 {
		g.knock()
	}
	for ; g.exports < g.audits/100; g.exports++ {
		who := g.member()
		g.at(g.moment(), request{what: takesOut, who: who, login: who.login, id: g.name("req-", 16)})
	}
	for ; g.troubles < g.audits/20; g.troubles++ {
		who := g.member()
		g.at(g.moment(), request{what: breaks, who: who, login: who.login, id: g.name("req-", 16), system: g.system()})
	}
	slices.Sort(g.todo)
}

// at plans a request, so long after the beginning of the slot.
func (g *group) at(when time.Duration, r request) {
	g.again(when, len(g.requests))
	g.requests = append(g.requests, r)
}

// again plans one more event of a request.
func (g *group) again(when time.Duration, r int) {
	g.todo = append(g.todo, uint64(when/time.Microsecond)<<24|uint64(r))
}

// moment is some time in the slot, with room for a long job after it.
func (g *group) moment() time.Duration {
	return time.Duration(g.Int64N(int64((slot-30*time.Second)/time.Microsecond))) * time.Microsecond
}

// member chooses somebody who works here: a few do most.
func (g *group) member() *member { return g.people[g.byRank.Uint64()] }

func (g *group) system() *system { return g.systems[g.byFame.Uint64()] }

// visit is somebody who asks for one thing, or saves a form of several, and who
// signs in before it where it is time to.
func (g *group) visit(most int) {
	who := g.member()
	when := g.moment()
	if who.login.until.Before(g.slot) && g.logins < g.audits*7/100 {
		before := min(when, time.Duration(2+g.IntN(40))*time.Second)
		who.login = g.signIn(who, g.slot.Add(when-before))
		id := g.name("req-", 16)
		g.at(when-before, request{what: tries, who: who, login: who.login, id: id})
		g.at(when-before+time.Duration(8+g.IntN(150))*time.Millisecond, request{what: comes, who: who, login: who.login, id: id})
		g.logins++
		g.attempts++
		g.audits++
		if most--; most == 0 {
			return
		}
	}
	if since := who.login.since.Sub(g.slot); when < since { // he signs in later in this very slot
		when = since + time.Duration(g.IntN(20_000))*time.Millisecond
	}
	if g.IntN(60) == 0 {
		g.at(when, request{what: goes, who: who, login: who.login, id: g.name("req-", 16)})
		g.audits++
		who.login.until = time.Time{}
		return
	}
	count := 1
	if g.IntN(4) == 0 {
		count = min(most, 2+min(g.IntN(7), g.IntN(7)))
	}
	r := request{what: works, who: who, login: who.login, id: g.name("req-", 16), system: g.system()}
	if g.IntN(3) > 0 {
		r.system = g.systems[(who.rank*7+g.IntN(3))%len(g.systems)] // everybody has systems of his own
	}
	g.several(when, r, count, 12*time.Millisecond)
}

// job is a machine that does the same to many objects in one request.
func (g *group) job(most int) {
	who := g.machines[min(g.IntN(len(g.machines)), g.IntN(len(g.machines)))]
	r := request{what: works, who: who, login: who.login, id: g.name("job-", 16), system: g.systems[(who.rank*11+g.IntN(4))%len(g.systems)]}
	r.stock = r.system.stocks[g.IntN(len(r.system.stocks))]
	r.action = [...]string{"UPDATE", "UPDATE", "UPDATE", "UPDATE", "CREATE", "CREATE", "IMPORT", "DELETE"}[min(g.IntN(8), g.IntN(10))]
	count := 3 + min(g.IntN(20), g.IntN(20))
	if hour := g.slot.In(zone).Hour(); hour >= 1 && hour < 5 {
		count = 10 + min(g.IntN(150), g.IntN(150))
	}
	g.several(g.moment(), r, min(most, count), 30*time.Millisecond)
}

func (g *group) several(when time.Duration, r request, count int, apart time.Duration) {
	g.audits += count
	g.at(when, r)
	for range count - 1 {
		when += time.Duration(300+g.Int64N(int64(apart/time.Microsecond))) * time.Microsecond
		g.again(when, len(g.requests)-1)
	}
}

// knock is somebody, or something, that does not get in: once, or with a list.
func (g *group) knock() {
	who, login := g.member(), (*login)(nil)
	count := 1 + min(g.IntN(4), g.IntN(4))
	if g.IntN(3) == 0 {
		who = g.stranger()
		count = 2 + g.IntN(24)
	}
	login = g.signIn(who, g.slot)
	when := g.moment()
	for i := range count {
		g.at(min(when, slot-time.Second), request{what: fails, who: who, login: login, id: g.name("req-", 16), n: i})
		when += time.Duration(400+g.IntN(4000)) * time.Millisecond
		g.attempts++
	}
}

// happen makes the event of a request.
func (g *group) happen(r *request, since time.Duration) *audit.Event {
	now := g.slot.Add(since)
	g.text, g.ends = now.AppendFormat(g.text[:0], "2006-01-02T15:04:05.000000Z"), g.ends[:0]
	g.ends = append(g.ends, len(g.text))
	switch r.what {
	case works:
		return g.work(r, now)
	case comes, goes:
		return g.door(r)
	case tries, fails:
		return g.attempt(r)
	case takesOut:
		return g.takeOut(r, now)
	default:
		return g.trouble(r, now)
	}
}

// end ends one part of the text of an event, which begins where the one before
// ended.
func (g *group) end() { g.ends = append(g.ends, len(g.text)) }

// parts returns the parts of the text. They share one string, which is all that
// an event has of its own.
func (g *group) parts() [8]string {
	text, from := string(g.text), 0
	var parts [8]string
	for i, to := range g.ends {
		parts[i] = text[from:to]
		from = to
	}
	return parts
}

// work is a deed upon an object.
func (g *group) work(r *request, now time.Time) *audit.Event {
	stock, action := r.stock, r.action
	if stock == nil {
		stock = r.system.stocks[min(g.IntN(len(r.system.stocks)), g.IntN(len(r.system.stocks)))]
	}
	if action == "" {
		action = g.action(r.n)
	}
	if len(stock.alive) < 8 {
		action = "CREATE" // there is hardly one left
	}
	r.n++
	i := 0
	if action == "CREATE" || action == "IMPORT" {
		stock.add(early + uint16(now.Sub(g.start)/(24*time.Hour)))
		i = len(stock.alive) - 1
	} else { // the newest are in most demand
		i = max(g.IntN(len(stock.alive)), g.IntN(len(stock.alive)))
	}
	o := &stock.alive[i]
	g.text = appendInt(g.text, uint64(o.id))
	g.end()
	g.text = stock.title(g.text, o)
	g.end()
	switch action {
	case "VIEW", "EXPORT", "PRINT":
	case "CREATE", "IMPORT":
		g.text = stock.created(g.text, o)
	case "DELETE":
		g.text = stock.deleted(g.text, o)
	default:
		g.text = stock.updated(g.text, o, g.Rand)
	}
	g.end()
	switch g.IntN(6) {
	case 0, 1, 2:
		g.text = appendInt(append(g.text, `{"duration_ms":`...), uint64(2+g.IntN(900)))
		g.text = append(appendInt(append(g.text, `,"host":"app-`...), uint64(1+g.IntN(12))), `"}`...)
	case 3:
		g.text = append(append(append(g.text, `{"channel":"`...), channels[g.IntN(len(channels))]...), `"}`...)
	}
	g.end()
	reason := ""
	if g.IntN(9) == 0 && action != "VIEW" {
		reason = reasons[g.IntN(len(reasons))]
	}
	if action == "DELETE" {
		stock.alive = slices.Delete(stock.alive, i, i+1)
	}
	p := g.parts()
	return audit.NewEventWithValues(audit.KindAuditLog, []string{p[0], r.who.id, r.who.name, action, stock.contentType, p[1], p[2], p[3],
		reason, r.login.address, r.login.agent, r.login.key, r.id, r.system.name, p[4]})
}

// action is what somebody does: the first thing of a request, or a later one.
func (g *group) action(n int) string {
	if n > 0 {
		return [...]string{"UPDATE", "UPDATE", "CREATE"}[g.IntN(3)]
	}
	switch odds := g.IntN(1000); {
	case odds < 420:
		return "VIEW"
	case odds < 770:
		return "UPDATE"
	case odds < 890:
		return "CREATE"
	case odds < 918:
		return "DELETE"
	case odds < 945:
		return "APPROVE"
	case odds < 962:
		return "PRINT"
	case odds < 978:
		return "EXPORT"
	case odds < 988:
		return "REJECT"
	case odds < 994:
		return "ARCHIVE"
	case odds < 998:
		return "PERMISSION_CHANGE"
	default:
		return "RESTORE"
	}
}

// door is somebody who came in or went out.
func (g *group) door(r *request) *audit.Event {
	action := "LOGIN"
	if r.what == goes {
		action = "LOGOUT"
	}
	p := g.parts()
	return audit.NewEventWithValues(audit.KindAuditLog, []string{p[0], r.who.id, r.who.name, action, "accounts.user", r.who.id, r.who.name, "",
		"", r.login.address, r.login.agent, r.login.key, r.id, "auth", ""})
}

// attempt is one attempt to sign in.
func (g *group) attempt(r *request) *audit.Event {
	status, reason, key := "SUCCESS", "", r.login.key
	if r.what == fails {
		status, key = "FAILED", ""
		reason = [...]string{"wrong password", "wrong password", "wrong password", "second factor missing", "account locked"}[g.IntN(5)]
		if r.who.id == "" {
			reason = [...]string{"unknown user", "wrong password"}[g.IntN(2)]
		}
		if r.n > 5 {
			status, reason = "BLOCKED", "too many attempts"
		}
	}
	p := g.parts()
	return audit.NewEventWithValues(audit.KindLoginAttempt, []string{p[0], r.who.name, status, r.login.address, r.login.agent, reason,
		r.login.place.country, r.login.place.city, key, r.id, ""})
}

// takeOut is somebody who takes data out of a system.
func (g *group) takeOut(r *request, now time.Time) *audit.Event {
	s := g.system()
	t := s.stocks[g.IntN(len(s.stocks))]
	format := [...]string{"csv", "csv", "csv", "xlsx", "xlsx", "pdf", "json"}[g.IntN(7)]
	rows := 10 + g.IntN(400)*(1+g.IntN(60))
	g.text = appendInt(g.text, uint64(rows))
	g.end()
	g.text = appendInt(g.text, uint64(rows*(60+g.IntN(240))))
	g.end()
	g.text = append(append(append(g.text, `{"status":"`...), states[g.IntN(len(states))]...), `","from":"`...)
	g.text = append(now.AddDate(0, 0, -1-g.IntN(90)).AppendFormat(g.text, time.DateOnly), `"}`...)
	g.end()
	g.text = append(now.AppendFormat(append(g.text, "/srv/exports/"...), "2006/01/"), t.contentType...)
	g.text = append(append(appendHex(append(g.text, '-'), g.Uint64(), 8), '.'), format...)
	g.end()
	g.text = append(appendInt(append(g.text, `{"completed":true,"seconds":`...), uint64(1+rows/4000)), '}')
	g.end()
	p := g.parts()
	return audit.NewEventWithValues(audit.KindDataExport, []string{p[0], r.who.id, r.who.name, t.plural, format, p[1], p[2], p[3],
		r.login.address, p[4], [...]string{"0", "1", "1", "2"}[g.IntN(4)], r.login.key, r.id, p[5]})
}

// trouble is what the system has to say of a request that went wrong.
func (g *group) trouble(r *request, now time.Time) *audit.Event {
	f := &faults[min(g.IntN(len(faults)), g.IntN(len(faults)))]
	id := r.id
	if strings.Contains(f.description, "%s s") {
		id = [...]string{"5.4", "6.1", "7.9", "8.8", "11.3", "14.0", "29.6"}[g.IntN(7)]
	}
	before, after, _ := strings.Cut(f.description, "%s")
	g.text = append(append(append(g.text, before...), id...), after...)
	g.end()
	g.text = appendInt(g.text, uint64(f.line))
	g.end()
	if before, after, ok := strings.Cut(f.trace, "%s"); ok {
		g.text = append(append(append(g.text, before...), r.id...), after...)
	} else {
		g.text = append(g.text, f.trace...)
	}
	g.end()
	g.text = appendInt(append(g.text, `{"release":`...), uint64(140+now.Sub(g.start)/(7*24*time.Hour)))
	g.text = append(appendInt(append(g.text, `,"host":"app-`...), uint64(1+g.IntN(12))), `","environment":"production"}`...)
	g.end()
	resolved, by, note := "", "", ""
	if at := now.Add(time.Duration(40+g.IntN(9*24*60)) * time.Minute); g.IntN(25) > 0 && at.Before(g.until) {
		resolved, by, note = "true", g.people[g.IntN(min(40, len(g.people)))].name, notes[g.IntN(len(notes))]
		g.text = at.AppendFormat(g.text, "2006-01-02T15:04:05.000000Z")
	}
	g.end()
	p := g.parts()
	userID, name, address, key, request := r.who.id, r.who.name, r.login.address, r.login.key, r.id
	if f.met == "" {
		userID, name, key = "", "", ""
		if f.kind != "SECURITY" {
			address, request = "", ""
		}
	}
	return audit.NewEventWithValues(audit.KindSystemEvent, []string{p[0], f.kind, f.title, p[1], r.system.name, f.function, p[2], f.code, p[3],
		userID, name, address, key, request, p[4], resolved, p[5], by, note})
}

var channels = []string{"web", "web", "api", "mobile", "import", "mail", "telephone"}

var reasons = []string{
	"By phone", "By mail", "Asked by the customer", "Typo", "Month end", "Correction after the audit", "Duplicate", "Agreed with the works council",
	"Supplier raised the list price", "Moved to another cost centre", "Four-eyes principle", "Migration from the old system", "See ticket", "Goodwill",
	"Erasure request (Art. 17 GDPR)", "Left the company", "Holiday cover", "Reorganisation", "Wrong currency", "Bestellung storniert", "Demande du client",
}

var notes = []string{
	"Known, tracked as OPS-1423", "Looked at it: nothing to do", "Customer informed", "Happens under load, see the capacity plan", "Fixed in the next release",
	"Partner had an incident", "Restarted", "Disk was full", "Certificate renewed", "Index added",
}
