package demo

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// member is somebody, or something, that works in the group.
type member struct {
	id, name string
	rank     int
	office   place
	desk     string   // the address at work
	homes    []string // the addresses he works from otherwise
	agents   [2]string
	login    *login
}

// login is somebody signed in, from somewhere.
type login struct {
	key, address, agent string
	place               place
	since, until        time.Time
}

// hire returns so many people, and the machines that work beside them.
func (g *group) hire(count int) (people, machines []*member) {
	names := map[string]bool{}
	for i := range max(count, 200) {
		first, last := firstNames[g.IntN(len(firstNames))], lastNames[g.IntN(len(lastNames))]
		name := strings.ToLower(strings.NewReplacer(" ", "-", "’", "").Replace(first + "." + last))
		if names[name] {
			name += strconv.Itoa(2 + i%97)
		}
		for names[name] {
			name += "x"
		}
		names[name] = true
		office := min(g.IntN(len(places)), g.IntN(len(places)))
		m := &member{
			id: strconv.Itoa(20_000 + i*7), name: name, rank: i, office: places[office],
			desk:   fmt.Sprintf("10.%d.%d.%d", 64+office, g.IntN(40), 1+g.IntN(254)),
			agents: [2]string{agents[g.IntN(6)], agents[g.IntN(len(agents))]},
		}
		for range 1 + g.IntN(4) {
			m.homes = append(m.homes, g.address())
		}
		m.login = g.signIn(m, g.start)
		people = append(people, m)
	}
	for i, name := range strings.Fields("erp-sync price-feed stock-sync billing search-index dunning mailer archive hr-import payroll edi customs telemetry backup crm-sync forecast") {
		m := &member{id: strconv.Itoa(900 + i), name: "svc-" + name, rank: i, office: berlin, desk: fmt.Sprintf("10.20.%d.%d", i%3, 10+i)}
		m.login = &login{address: m.desk, agent: "group-jobs/" + strconv.Itoa(3+i%3) + ".1 (python-httpx/0.28.1)", place: berlin}
		machines = append(machines, m)
	}
	return people, machines
}

// stranger is somebody who works nowhere here.
func (g *group) stranger() *member {
	names := [...]string{"admin", "root", "test", "administrator", "info", "backup", "oracle", "postgres", "jenkins", "support", "sap", "deploy"}
	return &member{name: names[g.IntN(len(names))], homes: []string{fmt.Sprintf("203.0.113.%d", 1+g.IntN(254))}, office: place{"United States", "Ashburn"},
		agents: [2]string{"python-requests/2.32.3", "Go-http-client/2.0"}}
}

// address is one on the internet, a quarter of them of version 6.
func (g *group) address() string {
	if g.IntN(4) == 0 {
		return fmt.Sprintf("2001:db8:%x:%x:%x:%x:%x:%x", g.IntN(0x8000), 1+g.IntN(0xfffe), 1+g.IntN(0xfffe), 1+g.IntN(0xfffe), 1+g.IntN(0xfffe), 1+g.IntN(0xfffe))
	}
	return fmt.Sprintf("198.%d.%d.%d", 18+g.IntN(2), g.IntN(256), 1+g.IntN(254))
}

// signIn begins a session: at the desk, at home, or on the road.
func (g *group) signIn(m *member, at time.Time) *login {
	l := &login{key: g.name("", 32), address: m.desk, agent: m.agents[0], place: m.office, since: at, until: at.Add(time.Duration(60+g.IntN(540)) * time.Minute)}
	switch odds := g.IntN(20); {
	case odds == 0 && m.id != "":
		l.address, l.agent, l.place = g.address(), m.agents[1], places[g.IntN(len(places))]
	case odds < 8 || m.desk == "":
		l.address, l.agent = m.homes[g.IntN(len(m.homes))], m.agents[1]
	}
	return l
}

// name returns a prefix and so many hexadecimal digits by chance, at most 32.
func (g *group) name(prefix string, digits int) string {
	var room [40]byte
	b := append(room[:0], prefix...)
	for ; digits > 16; digits -= 16 {
		b = appendHex(b, g.Uint64(), 16)
	}
	return string(appendHex(b, g.Uint64(), digits))
}

// root is the square root, by which the number of people follows their events.
func root(x float64) float64 { return math.Sqrt(x) }
