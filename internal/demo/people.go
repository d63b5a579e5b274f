package demo

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/auditadmin/auditadmin/audit"
)

// team says what somebody does at the shop.
type team string

const (
	support   team = "support"
	warehouse team = "warehouse"
	merchants team = "merchandising"
	content   team = "content"
	finance   team = "finance"
	marketing team = "marketing"
	engineers team = "engineering"
	machines  team = "service accounts"
	customers team = "customers"
)

// person is somebody, or something, that acts.
type person struct {
	id, name string
	team     team
	full     string // as it stands on a parcel; of customers only
	email    string
	home     place
	address  string
	agent    string
}

// place is where somebody signs in from.
type place struct{ country, city string }

var berlin = place{"Germany", "Berlin"}

// employees are the names of the people of each team.
var employees = []struct {
	team  team
	names string
}{
	{support, "anke.vogel mateusz.zieliński zoë.lindqvist priya.nair daniel.okafor clara.schmitt hüseyin.arslan"},
	{warehouse, "jens.petersen oksana.шевченко marek.dvořák thi.nguyễn ruben.castro lena.hoffmann"},
	{merchants, "maria.keller josé.muñoz ingrid.sørensen francesca.de-luca"},
	{content, "emily.clarke 陈美玲 noor.حداد søren.kjær"},
	{finance, "birgit.wagner tomasz.wójcik agnès.lefèvre"},
	{marketing, "nina.rossi yuki.田中 oliver.brandt"},
	{engineers, "tobias.brandt amara.diallo pavel.novák ilse.van-dijk"},
	{machines, "svc-catalog-sync svc-warehouse svc-billing svc-search-index svc-newsletter"},
}

// employ returns everybody who works for the shop, by team.
func employ() map[team][]*person {
	staff := map[team][]*person{}
	id := 11
	for _, group := range employees {
		for i, name := range strings.Fields(group.names) {
			p := &person{
				id:      strconv.Itoa(id),
				name:    name,
				team:    group.team,
				email:   name + "@fennelfig.example",
				home:    berlin,
				address: fmt.Sprintf("198.51.100.%d", 20+id),
				agent:   agents[id%6],
			}
			switch {
			case p.team == machines:
				p.address, p.agent = fmt.Sprintf("10.20.0.%d", 10+i), "fennel-jobs/2.4 (python-httpx/0.27.0)"
			case p.team == warehouse:
				p.address, p.agent = fmt.Sprintf("10.44.3.%d", 30+i), "FennelScanner/5.1 (Zebra TC52; Android 11)"
			case i%3 == 2: // works from home
				p.address = fmt.Sprintf("2001:db8:%x:%x::%x", 0x4a00+id, id*7, 0x10+id)
			}
			staff[group.team] = append(staff[group.team], p)
			id++
		}
	}
	return staff
}

// employee returns one person of a team; the first of a team do the most.
func (g *generator) employee(of team) *person {
	all := g.staff[of]
	return all[min(g.IntN(len(all)), g.IntN(len(all)))]
}

// named returns the employee of that name, which has to exist.
func (g *generator) named(name string) *person {
	for _, group := range employees {
		for _, p := range g.staff[group.team] {
			if p.name == name {
				return p
			}
		}
	}
	panic("demo: nobody is called " + name)
}

// customer returns a customer by chance: a few come often, most once.
func (g *generator) customer() *person {
	for {
		if p := g.customerNumber(int(g.customers.Uint64())); !g.erased[p.id] {
			return p
		}
	}
}

// customerNumber returns always the same person for a number. Customers are
// made when they are asked for: there may be tens of thousands.
func (g *generator) customerNumber(n int) *person {
	r := rand.New(rand.NewPCG(g.seed, 0x63757374<<24|uint64(n)))
	first, last := firstNames[r.IntN(len(firstNames))], lastNames[r.IntN(len(lastNames))]
	p := &person{
		id:    strconv.Itoa(1000 + n*3),
		team:  customers,
		full:  first + " " + last,
		email: strings.ToLower(fmt.Sprintf("%s.%s%d@%s", first, strings.NewReplacer(" ", "", "’", "").Replace(last), r.IntN(90)+10, mailHosts[r.IntN(len(mailHosts))])),
		home:  places[min(r.IntN(len(places)), r.IntN(len(places)))],
		agent: agents[r.IntN(len(agents))],
	}
	p.name = p.email
	if r.IntN(4) == 0 {
		p.address = fmt.Sprintf("2001:db8:%x:%x:%x:%x:%x:%x", r.IntN(0x8000), r.IntN(0xffff), 1+r.IntN(0xfffe), 1+r.IntN(0xfffe), 1+r.IntN(0xfffe), 1+r.IntN(0xfffe))
	} else {
		p.address = fmt.Sprintf("198.%d.%d.%d", 18+r.IntN(2), r.IntN(256), 1+r.IntN(254))
	}
	return p
}

// fullName is a customer's name as he would write it.
func fullName(r *generator) string {
	return pick(r, firstNames...) + " " + pick(r, lastNames...)
}

// session is somebody signed in.
type session struct {
	*person
	key   string
	until time.Time
}

// context fills in who asked, from where, and in which request.
func (s *session) context(e *audit.Event, request string) *audit.Event {
	for _, pair := range [][2]string{
		{"user_id", s.id}, {"username", s.name}, {"ip_address", s.address}, {"user_agent", s.agent},
		{"session_key", s.key}, {"request_id", request},
	} {
		if e.Has(pair[0]) {
			e.Set(pair[0], pair[1])
		}
	}
	return e
}

// signedIn returns the session of an employee, who signs in first if he is not.
func (g *generator) signedIn(p *person) *session {
	s := g.sessions[p.name]
	if s != nil && g.now.Before(s.until) {
		return s
	}
	s = &session{person: p, key: g.hex(32), until: g.now.Add(g.between(7*time.Hour, 10*time.Hour))}
	g.sessions[p.name] = s
	if p.team != machines { // those come with a key, not with a password
		g.signIn(s)
		g.planned++ // nobody can know beforehand who is signed in
	}
	return s
}

// signIn records a successful attempt and the log-in that came of it, now and
// then after a wrong password.
func (g *generator) signIn(s *session) {
	request := g.request()
	g.attempt(s, "SUCCESS", "", request)
	s.door(g, "LOGIN", request)
}

// door records that somebody came in or went out.
func (s *session) door(g *generator, action, request string) *audit.Event {
	contentType := "accounts.user"
	if s.team == customers {
		contentType = "customers.customer"
	}
	return s.context(g.event(audit.KindAuditLog, "action", action, "module", "auth", "content_type", contentType,
		"object_id", s.id, "object_repr", cmp.Or(s.full, s.name)), request)
}

// attempt records one attempt to sign in.
func (g *generator) attempt(s *session, status, reason, request string) *audit.Event {
	e := g.event(audit.KindLoginAttempt, "username", s.name, "status", status, "failure_reason", reason,
		"country", s.home.country, "city", s.home.city, "ip_address", s.address, "user_agent", s.agent,
		"request_id", request)
	if status == "SUCCESS" {
		e.Set("session_key", s.key)
	}
	return e
}

var agents = []string{
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36",
	"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.1 Safari/605.1.15",
	"Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0",
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36 Edg/143.0.0.0",
	"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.1 Mobile/15E148 Safari/604.1",
	"Mozilla/5.0 (Linux; Android 16; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Mobile Safari/537.36",
	"Mozilla/5.0 (Linux; Android 15; SM-S921B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36",
	"Mozilla/5.0 (iPad; CPU OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1",
}

// places, the nearest first: the shop delivers mostly at home.
var places = []place{
	berlin, {"Germany", "Hamburg"}, {"Germany", "München"}, {"Germany", "Köln"}, {"France", "Lyon"}, {"Netherlands", "Utrecht"},
	{"Austria", "Wien"}, {"Poland", "Kraków"}, {"Denmark", "København"}, {"Sweden", "Göteborg"}, {"Spain", "Málaga"}, {"Italy", "Torino"},
	{"Switzerland", "Zürich"}, {"Czechia", "Brno"}, {"Ireland", "Cork"}, {"Portugal", "Porto"}, {"Türkiye", "İzmir"}, {"Japan", "京都"},
}

var mailHosts = []string{"post.example", "mail.example", "inbox.example", "brev.example", "posteo.example"}

var firstNames = []string{
	"Anna", "Lukas", "Sofía", "Jonas", "Léa", "Mia", "Émile", "Hanna", "Paul", "Aylin", "Noah", "Zuzana", "Björn", "Chiara", "Mehmet",
	"Greta", "Łucja", "Theo", "Fatima", "Oskar", "Inês", "Kenji", "Maja", "Olivia", "Samuel", "Ülkü", "Viktor", "Wanda", "Yasmin", "Áine",
}

var lastNames = []string{
	"Müller", "Kowalska", "García", "Jansen", "Dubois", "Nowak", "Öztürk", "Svensson", "Rossi", "Becker", "Lefèvre", "Hansen", "Novotný",
	"Schulz", "van den Berg", "Yılmaz", "O’Connor", "Silva", "Fischer", "Moreau", "Krüger", "Bianchi", "Nielsen", "Horváth", "Suzuki",
	"Weber", "Marín", "Lindgren", "Popescu", "Wagner",
}
