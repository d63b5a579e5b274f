package audit

// Severity says how much a finding wants a person's attention.
type Severity string

// The severities.
const (
	Low    Severity = "low"    // the noise of the internet: somebody looks for something that is not here
	Medium Severity = "medium" // somebody tries
	High   Severity = "high"   // an attack that would harm where it succeeds
)

// Categories of rules.
const (
	CategoryScan      = "scan"      // looking for known files and programs
	CategoryInjection = "injection" // SQL, commands, templates, scripts
	CategoryTraversal = "traversal" // files outside of the site
	CategoryExploit   = "exploit"   // known holes of known programs
	CategoryAgent     = "agent"     // programs that say themselves that they attack
	CategoryForged    = "forged"    // headers that claim what is not theirs to say
	CategoryBurst     = "burst"     // many failures of one address
)

// place is a part of a request, as a bit.
type place uint8

const (
	inPath    place = 1 << iota // decoded, without the query
	inQuery                     // decoded
	inRaw                       // the path as it was sent
	inAgent                     // User-Agent
	inReferer                   // Referer
	inHeaders                   // other headers that are logged or looked up often
	inTarget  = inPath | inQuery
	inAll     = inTarget | inAgent | inReferer | inHeaders
)

// A Rule is one thing that the detector looks for.
type Rule struct {
	Name     string // stable: error_code of its events
	Category string
	Severity Severity
	Title    string // of its events
	Reason   string // why it is looked at, in one sentence for the event

	in place
	// refused: the rule holds only where the answer was an error. Whoever runs
	// WordPress answers /wp-login.php, and asking for it there is no scan.
	refused bool
	// general: the rule says less than others, and is left out where one of those
	// was found in the same request.
	general bool
	find    []look
}

// A look is one way to find what a rule is about.
type look struct {
	// needles are texts in lower case, separated by blanks ("␠" stands for a blank
	// within one). Without a pattern each counts by itself: as a whole word, unless
	// it ends in *, and anywhere, unless it begins with ^. With one, one of them must be there before the pattern is tried,
	// on what is around it.
	needles string
	pattern string
}

// Rules returns the table of what the detector knows, in its order. Rules of
// category forged and burst are about headers and repetition, and have no text
// to look for.
func Rules() []Rule {
	all := make([]Rule, 0, len(textRules)+len(otherRules))
	return append(append(all, textRules...), otherRules...)
}

// Rules that look at more than one text, or at many requests.
const (
	ruleForgedAddress  = "forged-address"
	ruleForgedHost     = "forged-host"
	ruleForgedURL      = "forged-url"
	ruleMethodOverride = "method-override"
	ruleProxy          = "open-proxy"
	ruleMethod         = "unusual-method"
	ruleNotHTTP        = "not-http"
	ruleMissing        = "missing-burst"
	ruleDenied         = "denied-burst"
	ruleSignIn         = "sign-in-burst"
)

var otherRules = []Rule{
	{Name: ruleForgedAddress, Category: CategoryForged, Severity: Medium, Title: "Forged client address",
		Reason: "A header claims that the request comes from this machine or from an internal network, and no trusted proxy wrote it."},
	{Name: ruleForgedHost, Category: CategoryForged, Severity: Medium, Title: "Forged host name",
		Reason: "The Host header is no host name, or another header names another host and no trusted proxy wrote it: links and caches can be poisoned so."},
	{Name: ruleForgedURL, Category: CategoryForged, Severity: High, Title: "Forged URL header",
		Reason: "A header asks for another path than the request line: access rules of a proxy are evaded so."},
	{Name: ruleMethodOverride, Category: CategoryForged, Severity: Medium, Title: "Forged method",
		Reason: "A request that only reads asks by a header to be taken for one that writes."},
	{Name: ruleProxy, Category: CategoryScan, Severity: Low, Title: "Search for an open proxy",
		Reason: "The request asks this server to fetch from, or to connect to, another host."},
	{Name: ruleMethod, Category: CategoryScan, Severity: Low, Title: "Unusual method",
		Reason: "TRACE, TRACK and DEBUG are asked for by scanners, and by nobody else on a public site."},
	{Name: ruleNotHTTP, Category: CategoryScan, Severity: Low, Title: "Not a request of HTTP",
		Reason: "What was sent is another protocol, or the greeting of malicious software."},
	{Name: ruleMissing, Category: CategoryBurst, Severity: Medium, Title: "Search for what is not there",
		Reason: "One address asked for many different pages that do not exist, within a short time."},
	{Name: ruleDenied, Category: CategoryBurst, Severity: Medium, Title: "Many refused requests",
		Reason: "One address was refused again and again (401 or 403) within a short time."},
	{Name: ruleSignIn, Category: CategoryBurst, Severity: High, Title: "Many attempts to sign in",
		Reason: "One address sent the sign-in form again and again without getting in."},
}

// Parts of patterns.
const (
	gap   = `(?:\s|/\*[^*]*\*/|[+(])+` // what may stand between words of SQL
	may   = `(?:\s|/\*[^*]*\*/|[+(])*` // what need not
	shell = `(?:cat|wget|curl|id|whoami|uname|ls|ping|nc|ncat|bash|sh|touch|rm|chmod|echo|sleep|nslookup|dig|python[23]?|perl|ruby|php|powershell|cmd|type|dir|ifconfig|netstat|pwd|env|printenv|busybox|tftp|ftpget|expr|set|reboot|telnetd|mkfifo|killall|base64|certutil)`
)

// textRules is the one table of texts to look for. What a rule names is decoded
// and in lower case by then.
var textRules = []Rule{
	// Injections
	{Name: "log4shell", Category: CategoryInjection, Severity: High, Title: "Log4j lookup (CVE-2021-44228)", in: inAll,
		Reason: "The request holds a lookup that vulnerable versions of Log4j resolve, which runs foreign code.",
		find:   []look{{"${", `\$\{\s*(?:jndi|(?:\$\{[^}]*\}|[a-z:-])*(?:\$\{(?:::-|lower:|upper:|env:|sys:|date:|base64:)))|\$\{(?:lower|upper|env|sys|date|ctx|java|main|base64):`}}},
	{Name: "shellshock", Category: CategoryInjection, Severity: High, Title: "Shellshock (CVE-2014-6271)", in: inAll,
		Reason: "The request holds the definition of a shell function, which old versions of bash run.",
		find:   []look{{"()", `\(\)\s*\{\s*[^}]*\}\s*;`}}},
	{Name: "sql-injection", Category: CategoryInjection, Severity: High, Title: "SQL injection", in: inTarget | inAgent,
		Reason: "The request holds a piece of SQL where a value belongs.",
		find: []look{
			{"union", `\bunion` + gap + `(?:(?:all|distinct)` + gap + `)?select` + gap + `(?:[\d'"@*-]|null|char|concat|version|user|database|0x|cast|[a-z_]+` + may + `,)`},
			{"information_schema sysobjects syscolumns pg_catalog pg_user pg_shadow sqlite_master mysql. dual all_tables msysobjects", `\bselect\b.*\bfrom\b.*\b(?:information_schema|sysobjects|syscolumns|pg_catalog|pg_user|pg_shadow|sqlite_master|mysql\.|dual\b|all_tables|msysobjects)|\binformation_schema\.`},
			{"select", `\bselect` + gap + `(?:sleep|benchmark|pg_sleep|load_file|version|user|database|@@|count` + gap + `\*)`},
			{`' " )`, `['")]` + may + `(?:or|and|xor|\|\||&&)` + may + `['"(]*[\w.@-]+['")]*\s*(?:=|<|>|!=|\blike\b\s*['"%(]|\bin\s*\(|\bbetween\b\s*['"\d]|\brlike\b|\bregexp\b|\bis\s+(?:not\s+)?null)`},
			{"␠or␠ ␠and␠ */or */and ␠or( ␠and( )or )and ␠or/ ␠and/ ␠or' ␠and' ␠or\" ␠and\"", `(?:=|[\d'"]\s*\)*)\s*['"]?` + gap + `(?:or|and)` + gap + `['"(]*\d+['")]*\s*(?:=|<|>)\s*['"(]*\d+`},
			{"pg_sleep benchmark extractvalue updatexml load_file xp_cmdshell xp_dirtree utl_inaddr utl_http dbms_pipe dbms_lock", `\b(?:pg_sleep|benchmark|extractvalue|updatexml|load_file|xp_cmdshell|xp_dirtree|utl_inaddr\.\w+|utl_http\.\w+|dbms_pipe\.\w+|dbms_lock\.\w+)\s*\(`},
			{"sleep( sleep␠( waitfor", `(?:['"(=;,]|\b(?:and|or|if|select|\d)` + gap + `)sleep\s*\(\s*\d|\bwaitfor` + gap + `delay\b`},
			{"outfile dumpfile @@ analyse having", `\binto` + gap + `(?:out|dump)file\b|@@(?:version|datadir|hostname|servername)|\bprocedure` + gap + `analyse|\bhaving` + gap + `\d+\s*=`},
			{";", `;` + may + `(?:(?:drop|alter|truncate|create)` + gap + `(?:table|database|user|view)\b|insert` + gap + `into|delete` + gap + `from|update` + gap + `\w+` + gap + `set|exec(?:ute)?` + gap + `(?:xp_|sp_|master|immediate|\()|declare` + gap + `@)`},
			{"-- #", `['"]\s*\)*\s*(?:;\s*)?(?:--|#)(?:\s|-|\+|$)|\border` + gap + `by` + gap + `\d+\s*(?:--|#)`},
		}},
	{Name: "nosql-injection", Category: CategoryInjection, Severity: High, Title: "Injection into a document database", in: inQuery,
		Reason: "A parameter holds an operator of MongoDB where a value belongs.",
		find:   []look{{"[$ {\"$ ||", `\[\$(?:ne|gt|gte|lt|lte|regex|where|in|nin|exists|or|and)\]|\{\s*"\$(?:ne|gt|gte|lt|lte|regex|where|in|nin|exists|or|and)"|'\s*\|\|\s*'?\d'?\s*==`}}},
	{Name: "ldap-injection", Category: CategoryInjection, Severity: High, Title: "LDAP injection", in: inQuery,
		Reason: "A parameter holds the joints of an LDAP filter.",
		find:   []look{{")( (|( (&(", `\)\((?:[|&!]|\w+=\*)|\*\)\(|\(\|\(\w+=|\(&\(\w+=`}}},
	{Name: "script-injection", Category: CategoryInjection, Severity: Medium, Title: "Script injection (XSS)", in: inTarget,
		Reason: "The request holds a piece of a page that would run as a script in somebody's browser.",
		find: []look{
			{`< &lt; \u003c \x3c`, `(?:<|&lt;|\\u003c|\\x3c)\s*/?\s*(?:(?:script|iframe|svg|object|embed|applet|meta|base|form|details|marquee|isindex|math|xss)\b|(?:img|body|video|audio|input|a|div|style|link|p|b|button|select|textarea)\b[^>]*(?:\bon\w+\s*=|javascript:|src\s*=|style\s*=))`},
			{"onerror onload onmouse onfocus onblur onclick ontoggle onanimation onpointer onbegin", `[\s"'/;]on(?:error|load|mouse\w+|focus|blur|click|toggle|animation\w+|pointer\w+|begin)\s*=`},
			{"javascript: vbscript:", "script:[^&]*[(=`]"},
			{"alert( prompt( confirm(", "\\b(?:alert|prompt|confirm)\\(\\s*(?:\\d|['\"`)]|document)"},
			{"document.", `\bdocument\.(?:cookie|domain|write|location)\b`},
		}},
	{Name: "command-injection", Category: CategoryInjection, Severity: High, Title: "Command injection", in: inTarget,
		Reason: "The request holds a command of a shell where a value belongs.",
		find: []look{
			{"; | ` && $( \n", "(?:[;|`\n]|&&|\\$\\()\\s*(?:/\\w+/)*" + shell + "(?:\\s|$|[;|`)<>]|\\$\\{?ifs|%)"},
			{"cmd= exec= command= syscmd= execute=", `(?:^|[&?;])(?:cmd|exec|command|syscmd|execute)=(?:[^&]*[;|]\s*)?(?:/\w+/)*(?:ls|id|whoami|cat|uname|pwd|wget|curl|ifconfig|ipconfig|netstat|dir|echo|nc|ps|ping|nslookup)(?:$|\s|[&;|])`},
			{"/bin/ ${ifs $ifs", `/bin/(?:ba|da|z|a|k|c|tc)?sh\b|\$\{?ifs\b`},
			{"wget␠ curl␠", `\b(?:wget|curl)\s[^&]*(?:https?|ftp)://`},
			{"/tmp cmd.exe cmd␠/c powershell busybox␠ rm␠-rf chmod␠", `\bcd\s+/tmp\b|\bcmd(?:\.exe)?\s*/c\s|\bpowershell(?:\.exe)?\s+-|/system32/cmd\.exe|\bbusybox\s+\w|\brm\s+-rf\b|\bchmod\s+(?:\d{3}|\+x)`},
		}},
	{Name: "code-injection", Category: CategoryInjection, Severity: High, Title: "Code or template injection", in: inTarget | inAgent | inHeaders,
		Reason: "The request holds code that a template engine or an expression language would run.",
		find: []look{
			{"${ #{ %{ *{", `[$#%*]\{[^}]*(?:\d+\s*\*\s*\d+|\(|java\.|runtime|script|ognl|#|@|freemarker)`},
			{"{{", `\{\{\s*(?:['"\d]+\s*\*\s*['"\d]+|[^}]*(?:\bconfig(?:\.items|\.from|\s*\}\})|self\.|request\.(?:application|environ|class|args)|constructor|lipsum|cycler\.|joiner\.|settings\.secret|\|\s*(?:attr|system)\b|range\.))`},
			{"<%", `<%[=@]?\s*[^%]+%>`},
			{"<?", `<\?(?:php|=)`},
			{"__class__* __import__* __globals__* __builtins__* __subclasses__* __mro__* getruntime java.lang.* processbuilder class.module.classloader class.classloader.* freemarker.template* phpinfo() call_user_func* think\\app* ognl.*", ""},
			{"eval( assert( system( passthru( shell_exec( popen( proc_open( base64_decode( create_function( md5(", `\b(?:eval|assert|system|passthru|shell_exec|popen|proc_open|base64_decode|create_function|md5)\(\s*(?:['"$\d]|base64|chr|get|hex|str|phpinfo|system|@|\w+\()`},
		}},
	{Name: "php-wrapper", Category: CategoryInjection, Severity: High, Title: "Inclusion through a wrapper of PHP", in: inTarget,
		Reason: "The request names a stream of PHP that reads sources or runs what is sent.",
		find:   []look{{"php:// expect:// phar:// data:// zip:// glob:// allow_url_include auto_prepend_file disable_functions", `(?:php://(?:input|filter|stdin|memory|fd)|expect://|phar://|glob://|zip://|data://[a-z/]*[;,])|allow_url_include|auto_prepend_file|disable_functions\s*=`}}},
	{Name: "remote-inclusion", Category: CategoryInjection, Severity: High, Title: "Inclusion of a foreign file", in: inQuery,
		Reason: "A parameter that names a part of the program is the address of a file elsewhere.",
		find:   []look{{"=http:// =https:// =ftp:// =ftps:// =//", `=(?:ht|f)tps?://[^&]+\?{1,2}(?:&|$|cmd=)|=(?:ht|f)tps?://[^&?]+\.(?:txt|php\d?|inc|dat|log|jpg|gif)\b[^&=/]{0,4}(?:&\w+=(?:id|ls|dir|pwd)\b|$)|(?:^|&)(?:globals|_(?:server|request|get|post|phplib|conf)|\w*(?:_path|_root|_dir|_inc|path_to|include|basedir|abspath|absolute_path|lib_?path))(?:\[[^\]]*\])*=(?:ht|f)tps?://`}}},
	{Name: "internal-request", Category: CategoryInjection, Severity: High, Title: "Request to the inside (SSRF)", in: inQuery,
		Reason: "A parameter makes the server fetch a file of its own or an address of its internal network.",
		find: []look{{"file:/ gopher: dict:// ldap:// ldaps:// tftp:// jar: netdoc: sftp:// =http 169.254. metadata.google", `=(?:file:/|gopher:|dict://|ldaps?://|tftp://|jar:\w|netdoc:|sftp://)|\b169\.254\.169\.254\b|metadata\.google\.internal|100\.100\.100\.200` +
			`|(?:^|&)(?:(?:image|img|avatar|icon|feed|target|remote|proxy|source|base|api|service|server|callback|webhook|page|site|file)[_-])?(?:url|uri|link|src|dest|target|host|site|webhook|image|img|proxy|fetch|feed|logo|path|file|load|operator|remote|server|address)=https?://(?:127\.\d|localhost\b|0\.0\.0\.0|10\.\d+\.|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\.|\[::|0x7f|2130706433)`}}},
	{Name: "header-injection", Category: CategoryInjection, Severity: Medium, Title: "Header injection", in: inTarget,
		Reason: "The request holds a line end and a header, to add to the answer.",
		find:   []look{{"\n", `[\r\n]\s*(?:set-cookie|location|content-type|content-length|x-[a-z-]+|http/1|host|refresh)\s*[:/]`}}},

	// Files outside
	{Name: "traversal", Category: CategoryTraversal, Severity: High, Title: "Path traversal", in: inTarget,
		Reason: "The request climbs out of the directory it belongs to.",
		find:   []look{{".. ./", `(?:\.{2,3}[/\\;]+){2,}|[/\\]\.\.;[/\\]?|(?:\.{4}[/\\]{2,}){1,}|=[^&]*\.\.[/\\]+[^&]*(?:etc|windows|winnt|proc|boot|passwd|shadow|config|wp-|\.env|\.git|\.php|\.ini|\.conf|\.log|\.xml|\.ya?ml|\.jsp|\.asp|\.key|\.pem|\x00)`}}},
	{Name: "traversal-disguised", Category: CategoryTraversal, Severity: High, Title: "Disguised path traversal", in: inRaw,
		Reason: "The request climbs out of its directory and hides the dots or slashes; no browser writes them so.",
		find:   []look{{"% \\", `(?:%(?:25)*2e(?:%(?:25)*2e|\.)|\.%(?:25)*2e)(?:$|[/\\;]|%(?:25)*(?:2f|5c|3b)|%c0%af|%c1%9c)|\.\.(?:%(?:25)*(?:2f|5c)|%c0%(?:af|2f)|%c1%(?:9c|1c)|%e0%80%af|%u221[56]|\\)|%(?:c0%ae|e0%80%ae|u002e|uff0e)|%%3[2-5]%?[0-9a-f]|%%?32%65|%2%[34]|/\.%5c`}}},
	{Name: "system-file", Category: CategoryTraversal, Severity: High, Title: "Request for a file of the system", in: inTarget,
		Reason: "The request names a file of the operating system or of the server itself.",
		find:   []look{{"/etc/passwd* /etc/shadow* /etc/group* /etc/hosts /etc/issue /etc/fstab /etc/crontab /etc/hostname /etc/resolv.conf /etc/ssh/* /etc/nginx/* /etc/apache2/* /etc/httpd/* /etc/mysql/* /etc/my.cnf /etc/php* /etc/sudoers /etc/f5-release /etc/os-release /etc/profile /proc/self/* /proc/version /proc/cmdline /proc/net/* /proc/cpuinfo /dev/cmdb/* win.ini boot.ini system.ini windows/system32* winnt/system32* /inetpub/wwwroot* web-inf/* meta-inf/* /var/log/auth* /var/log/apache* /var/log/nginx* /var/log/httpd* /var/log/mail* /var/run/secrets* /root/.* /usr/local/www/* /usr/local/apache* /usr/local/etc/* c:/windows* c:\\windows* c:/boot* c:/win* php5/php.ini", ""}}},
	{Name: "null-byte", Category: CategoryTraversal, Severity: Medium, Title: "Null byte", in: inRaw,
		Reason: "The path holds a null byte, which ends it early for old programs.",
		find:   []look{{"%00* %2500*", ""}}},
	{Name: "rewrite-confusion", Category: CategoryTraversal, Severity: Medium, Title: "Confusion of a rewrite (CVE-2024-38475)", in: inRaw, refused: true,
		Reason: "The path ends in an encoded question mark, which cuts what Apache's mod_rewrite adds to it.",
		find:   []look{{"%3f", `%3f$`}}},

	// Known holes
	{Name: "CVE-2017-9841", Category: CategoryExploit, Severity: High, Title: "PHPUnit (CVE-2017-9841)", in: inPath,
		Reason: "eval-stdin.php of PHPUnit runs whatever is sent to it.", find: []look{{"eval-stdin.php phpunit/phpunit*", ""}}},
	{Name: "CVE-2023-49103", Category: CategoryExploit, Severity: High, Title: "ownCloud (CVE-2023-49103)", in: inPath,
		Reason: "GetPhpInfo.php of ownCloud shows the secrets of the server.", find: []look{{"getphpinfo.php", ""}}},
	{Name: "atlassian", Category: CategoryExploit, Severity: High, Title: "Hole of Confluence or Jira", in: inTarget,
		Reason: "The request uses a known hole of Confluence or Jira (CVE-2019-3396, CVE-2021-26084, CVE-2021-26086, CVE-2022-26134, CVE-2023-22515, CVE-2023-22518, CVE-2023-22527).",
		find:   []look{{"/setup/setupadministrator.action /setup/setup-restore.action /setup/finishsetup.action /json/setup-restore.action /server-info.action bootstrapstatusprovider* /pages/doenterpagevariables.action /pages/createpage-entervariables.action /rest/tinymce/1/macro/preview /template/aui/text-inline.vm /_/;/* opensymphony.webwork*", ""}}},
	{Name: "exchange", Category: CategoryExploit, Severity: High, Title: "Hole of Exchange", in: inTarget,
		Reason: "The request uses a known hole of Exchange (ProxyLogon, ProxyShell, ProxyNotShell).",
		find:   []look{{"/autodiscover.json /ecp/default.flt /ecp/y.js /owa/auth/x.js ecp/current/exporttool /aspnet_client/ /owa/auth/logon.aspx", `autodiscover\.json\?(?:@|[^ ]*@)|autodiscover/autodiscover\.json|/ecp/(?:default\.flt|y\.js|current/exporttool)|/owa/auth/x\.js|/aspnet_client/.+\.aspx`}}},
	{Name: "f5", Category: CategoryExploit, Severity: High, Title: "Hole of BIG-IP", in: inPath,
		Reason: "The request is for the management of F5 BIG-IP (CVE-2020-5902, CVE-2021-22986, CVE-2022-1388).", find: []look{{"/tmui/* /mgmt/tm/util/bash /mgmt/shared/authn/login", ""}}},
	{Name: "fortinet", Category: CategoryExploit, Severity: High, Title: "Hole of Fortinet", in: inTarget,
		Reason: "The request uses a known hole of FortiOS (CVE-2018-13379, CVE-2022-40684, CVE-2024-21762).", find: []look{{"/remote/fgt_lang sslvpn_websession /api/v2/cmdb/system/admin* /remote/hostcheck_validate /remote/logincheck /ws/cli/open", ""}}},
	{Name: "vpn-gateway", Category: CategoryExploit, Severity: High, Title: "Hole of a VPN gateway", in: inTarget,
		Reason: "The request uses a known hole of Pulse, Ivanti, Citrix, Palo Alto, Cisco, SonicWall or Zyxel devices.",
		find:   []look{{"/api/v1/totp/user-backup-code* /vpns/portal/* /vpns/cfg/* /vpn/../vpns* /oauth/idp/.well-known* /php/ztp_gate.php* /php/utils/createremoteappwebsession.php* .php/.js.map /ssl-vpn/hipreport.esp /esp/cms_changedevicecontext.esp /+cscot+/translation-table* /+cscot+/oem-customization* /+cscoe+/../* /cgi-bin/jarrewrite.sh /cgi-bin/supportlogin /ztp/cgi-bin/handler /cgi-bin/weblogin.cgi /dana-na/../* /dana-na/auth/url_admin/* /dana-ws/namedusers*", ""}}},
	{Name: "vmware", Category: CategoryExploit, Severity: High, Title: "Hole of VMware", in: inTarget,
		Reason: "The request uses a known hole of vCenter or Workspace ONE (CVE-2021-21972, CVE-2021-22005, CVE-2022-22954, VMSA-2021-0027).",
		find:   []look{{"/ui/vropspluginui/* /ui/vcav-bootstrap/* /analytics/telemetry/* /analytics/ceip/* /catalog-portal/ui/oauth/verify deviceudid=* /casa/nodes/thumbprints /ui/h5-vsan/*", ""}}},
	{Name: "spring", Category: CategoryExploit, Severity: High, Title: "Hole of Spring", in: inTarget | inHeaders,
		Reason: "The request uses a known hole of the Spring framework (CVE-2022-22965, CVE-2022-22947, CVE-2022-22963).", find: []look{{"class.module.* class.classloader.* /actuator/gateway/routes* /functionrouter routing-expression*", ""}}},
	{Name: "zimbra", Category: CategoryExploit, Severity: High, Title: "Hole of Zimbra", in: inPath,
		Reason: "The request uses a known hole of Zimbra (CVE-2022-27925, CVE-2022-37042).", find: []look{{"/service/extension/backup/mboximport /zimbraadmin/* /zimbra/public/jsp/*", ""}}},
	{Name: "grafana", Category: CategoryExploit, Severity: High, Title: "Hole of Grafana (CVE-2021-43798)", in: inTarget,
		Reason: "The request reads files through a plugin of Grafana.", find: []look{{"/public/plugins/", `/public/plugins/[a-z0-9_-]+/\.\.`}}},
	{Name: "cacti", Category: CategoryExploit, Severity: High, Title: "Hole of Cacti (CVE-2022-46169)", in: inPath,
		Reason: "remote_agent.php of Cacti runs commands; only its own pollers ask for it.", find: []look{{"/remote_agent.php", ""}}, refused: true},
	{Name: "device", Category: CategoryExploit, Severity: High, Title: "Hole of a router, camera or disk station", in: inTarget,
		Reason:  "The request is for the management pages of a device of the home, which botnets spread through.",
		refused: true, find: []look{{"/boaform/* /gponform/* /hnap1 /setup.cgi currentsetting.htm /cgi/networkdiag.cgi /cgi-bin/viewlog.asp /cgi-bin/luci* /cgi-bin/nas_sharing.cgi /goform/* /apply.cgi /apply_sec.cgi /tmunblock.cgi /hndunblock.cgi /ctrlt/deviceupgrade_1 /picsdesc.xml /wanipcn.xml /nice␠ports* /system.ini /cgi-bin/config.exp /cgi-bin/mainfunction.cgi /cgi-bin/kerbynet /cgi-bin/login.cgi /cgi-bin/videoconfiguration.cgi /sdk/weblanguage /device.rsp /login.rsp /dnscfg.cgi /formlogin /userrpm/* /cgi-bin/;* /language/swedish* /stssys.htm /webfig /ping.cgi /getpage.gch /cgi-bin/authlogin.cgi /evox/about /rom-0 /cstecgi.cgi", ""}}},
	{Name: "product", Category: CategoryExploit, Severity: High, Title: "Known hole of a program", in: inTarget,
		Reason: "The request uses a hole that is known of a certain program: Laravel, ThinkPHP, Drupal, Struts, Telerik, Liferay, Solr, MOVEit, GeoServer and others.",
		find:   []look{{"/_ignition/execute-solution /telescope/requests think\\app* think/app/* \\think\\* s=captcha* /struts2-showcase* /telerik.web.ui.webresource.axd?type=rau* /api/jsonws/invoke /solr/admin/info/system /solr/admin/cores /guestaccess.aspx /moveitisapi/moveitisapi.dll /human2.aspx /securityrealm/user/admin* /script/scripttext /druid/indexer/v1/sampler /ws_utc/* /wls-wsat/* /_async/asyncresponseservice* /nacos/v1/auth/users* /htmlawedtest.php wp-file-manager/lib/php/* connector.minimal.php /timthumb.php element_parents=account* mail[#post_render]* /login/index.php?login=$* /toolpane.aspx /_layouts/15/toolpane.aspx /webtools/control/programexport* /webtools/control/main/programexport* /webtools/control/xmlrpc* /setupwizard.aspx/* admin-ajax.php?action=duplicator_download* admin-ajax.php?action=revslider_show_image* /admin/config.php?display=* /index.php?s=/* /index.php?lang=../* s=index/\\think* /invokefunction* /sitecore/shell/sitecore.version.xml /eval-stdin.php", ""}}},

	// Known files
	{Name: "secret-file", Category: CategoryScan, Severity: Medium, Title: "Search for secrets", in: inPath,
		Reason: "The request is for a file that holds passwords, keys or the source of a site where somebody left it lying about.",
		find:   []look{{"/.env /.git /.gitconfig /.git-credentials /.svn /.hg /.bzr /.cvs /.htpasswd* /.htaccess* /.htdigest /.aws /.azure /.ssh /.bash_history /.bashrc /.bash_profile /.zsh_history /.sh_history /.mysql_history /.psql_history /.history /.profile /.rhosts /.netrc /.pgpass /.my.cnf /.npmrc /.pypirc /.dockercfg /.kube/* /.config/gcloud* /.vscode/sftp.json /.ftpconfig /.remote-sync.json /sftp-config.json /.passwd /.pwd /.subversion /.listing /.listings /.forward /.cvsignore /id_rsa /id_dsa /id_ed25519 /server.key /privatekey.key /private.key /credentials.json /credentials.csv /secrets.json /secrets.yml /serviceaccountkey.json /aws.yml /phpinfo.php /phpinfo /_profiler/phpinfo /storage/logs/laravel.log /wp-content/debug.log /wp-config* /configuration.php~ /configuration.php.bak* /localsettings.php~ /winscp.ini /filezilla.xml /sitemanager.xml /dump.sql /database.sql /backup.sql /db.sql /mysql.sql /users.sql /terraform.tfstate /actuator/env /actuator/heapdump /heapdump /.env-* /.git-*", ""}}},
	{Name: "backup-file", Category: CategoryScan, Severity: Low, Title: "Search for backups", in: inPath, refused: true, general: true,
		Reason: "The request guesses the name of a backup, an archive or the copy that an editor leaves.",
		find:   []look{{".bak .old .save .swp .orig .php~ .inc~ .config~ .conf~ .sql .sql.gz .zip .rar .7z .tar .tgz .tar.gz .backup .copy", `/(?:backups?|dump|database|db|sql|www|wwwroot|htdocs|html|public_html|site|web|home|data|old|new|archive|release|src|source|app|website|full|full_backup|upload|1|test|website|master|bak|files?)(?:[-_.]?\d{0,8})?\.(?:sql|zip|rar|7z|tar|tgz|tar\.gz|gz|bak|sql\.gz|bz2|backup)$|\.(?:php|asp|aspx|jsp|inc|cgi|conf|config|cfg|ini|yml|json|xml|js|py|rb|sh|env|htaccess)(?:~|\.(?:bak|old|save|swp|orig|backup|copy)\d?)$|/\.[^/]+\.sw[op]$`}}},
	{Name: "project-file", Category: CategoryScan, Severity: Low, Title: "Search for files of the project", in: inPath, refused: true,
		Reason: "The request is for a file that belongs to the making of a site and not to the site.",
		find:   []look{{"/.idea/* /.travis.yml /.circleci/* /.gitlab-ci.yml /docker-compose.yml /docker-compose.yaml /database.yml /parameters.yml /web.config /.docker/* /.dockerenv /dockerfile /composer.lock /yarn.lock /package-lock.json /gruntfile.js /gulpfile.js /vagrantfile /.editorconfig /.babelrc /.eslintrc* /.php_cs* /phpunit.xml /config/database.php /app/etc/local.xml /app/etc/env.php /sftp.json", ""}}},
	{Name: "hidden-file", Category: CategoryScan, Severity: Low, Title: "Search for hidden files", in: inPath, refused: true, general: true,
		Reason: "The request is for a file whose name begins with a dot. Nothing on a page leads to those.",
		find:   []look{{"/.", `/\.(?:[a-vx-z_]|w[a-df-z]|we[a-km-z])[a-z0-9_.-]*(?:/|$)`}}},
	{Name: "wordpress", Category: CategoryScan, Severity: Low, Title: "Search for WordPress", in: inPath, refused: true,
		Reason: "The request is for a part of WordPress, and was answered with an error.",
		find:   []look{{"/wp-login.php /wp-admin /wp-includes /xmlrpc.php /wlwmanifest.xml /wp-json /wp-cron.php /wp-signup.php /wp-content/plugins /wp-trackback.php /wp-links-opml.php /wp-register.php /wp-comments-post.php", ""}}},
	{Name: "admin-tool", Category: CategoryScan, Severity: Low, Title: "Search for an administration tool", in: inPath, refused: true, general: true,
		Reason: "The request is for a known administration tool, and was answered with an error.",
		find:   []look{{"/phpmyadmin* /phpmy ^/pma /pma/* /pma2* /phpma /myadmin /mysqladmin ^/dbadmin /sqlmanager /mysqlmanager /adminer* /phppgadmin /sqladmin /mysql-admin ^/webdb ^/websql /manager/html /manager/text /manager/status /host-manager/html ^/administrator ^/administrator/* /admin/phpmyadmin ^/solr ^/solr/* ^/jenkins ^/jenkins/* ^/cgi-bin/* /scripts/setup.php /setup/index.php /server-manager ^/webmin ^/zabbix ^/nagios ^/kibana /_cat/indices /_search /_cluster/health ^/owa ^/ecp ^/autodiscover/* ^/rdweb ^/rdweb/* ^/citrix/* ^/druid/* ^/nacos ^/nacos/* ^/geoserver ^/geoserver/* ^/jmx ^/jolokia ^/jolokia/* /swagger-ui.html /swagger/index.html /v2/api-docs ^/graphiql /laravel-filemanager* ^/magmi ^/downloader /magento_version ^/typo3 ^/joomla ^/drupal /plesk-stat ^/cpanel /whm-server-status /h2-console ^/hystrix /portal/redlion /api/index.php/v1/config/* /debug/pprof /teorema505 /dns-query ^/prometheus /bitrix/admin* /.well-known/security.php* ^/crx /dfshealth.html /ws/v1/cluster/* /stalker_portal /odinhttpcall* /scripts/root.exe /msadc/* /nmaplowercheck* /nice␠ports,* /trinity.txt.bak /muieblackcat /w00tw00t* ^/sugarcrm /mobileadmin/* ^/owa/* ^/ecp/* /server-status /server-info /actuator /actuator/mappings /actuator/beans /actuator/loggers /actuator/configprops /vendor/phpunit* /vendor/composer* ^/struts/* /ajaxpro/* /seeyon/* /weaver/* /fckeditor/* /kcfinder/* /elfinder/* /ueditor/* /revslider* /cfide/* /cf_scripts/* /flex2gateway/* ^/axis2/* /webtools/control/* /system/console /bin/querybuilder.json ^/crx/* /_vti_bin/* /reportserver* /containers/json /v2/_catalog /debug/default/view /vtigercrm/* ^/recordings/misc/* /a2billing/* ^/umbraco/* /telerik.web.ui.webresource.axd /console/login/loginform.jsp /jmx-console* ^/invoker/* /global-protect/* /+cscoe+/* /+cscot+/* /dana-na/* /sslmgr ^/cgi/* ^/onvif/* /hudson/script /_ignition/* /fileman/php/* /user/soapcaller.bs /phpunit/*", ""}}},
	{Name: "web-shell", Category: CategoryScan, Severity: Medium, Title: "Search for a web shell", in: inPath, refused: true,
		Reason: "The request is for a back door that somebody else may have left.",
		find:   []look{{"/c99.php /r57.php /wso.php /wso1.php /wso2.php /b374k.php /alfa.php /alfanew.php /alfacgiapi* /alfa_data* /shell.php /shell1.php /webshell.php /cmd.php /backdoor.php /mini.php /leafmailer.php /leaf.php /xleet.php /marijuana.php /gel4y.php /0byte.php /indoxploit.php /priv8.php /sym.php /simple.php /bypass.php /doc.php7 /x.php /xx.php /1.php /radio.php /ws.php /wp.php /up.php /fm.php /moduless.php /adminfuns.php /autoload_classmap.php /chosen.php /shell.jsp /cmd.jsp /cmd.aspx /shell.aspx /shell.asp /cmd.asp /cmdasp.aspx /cmd.war /symlink.php /eval.php /madspot.php /z.php /ae.php /goods.php /classwithtostring.php", ""}}},

	// Programs that say what they are
	{Name: "attack-tool", Category: CategoryAgent, Severity: Medium, Title: "Attack tool", in: inAgent,
		Reason: "The client says itself that it is a tool for attacks or for searching holes.",
		find:   []look{{"sqlmap nikto nuclei masscan zgrab* nmap* wpscan* dirbuster gobuster feroxbuster fuzz␠faster␠u␠fool ffuf wfuzz dirsearch acunetix* netsparker invicti nessus openvas qualys* arachni w3af* owasp␠zap zaproxy havij jorgee zmeu morfeus muieblackcat w00tw00t* commix cmsmap joomscan whatweb skipfish webinspect appscan burpcollaborator* burpsuite* dotdotpwn httprint grendel-scan sqlninja sqlpowerinjector bsqlbf fimap xsser xsstrike wafw00f (hydra) thc-hydra brutus webshag websploit metasploit* paros vega/* l9explore l9tcpid l9scan leakix* jaeles interactsh xray/* chaitin* sysscan fscan* pocsuite* rustscan naabu detectify* dalfox crlfuzz kiterunner subfinder aquatone nsauditor cgichk core-project/* datacha0s dirb n-stealth nstealth rapid7 nexpose pdrlabs* projectdiscovery blackwidow webcruiser xenotix", ""}}},
	{Name: "malware-agent", Category: CategoryAgent, Severity: Medium, Title: "Client of malicious software", in: inAgent,
		Reason: "The name of the client is one that only botnets and worms use.",
		find:   []look{{"mozi mirai gh0st hello,␠world hello␠world libredtail-http linux␠gnu␠(cow) keksec* hakai jdatabasedrivermysqli* custom-asynchttpclient* lmao/2.0 sakura/2.0 cakes/2.0 masjesu* zollard", ""}}},
	{Name: "internet-survey", Category: CategoryAgent, Severity: Low, Title: "Survey of the internet", in: inAgent,
		Reason: "The client belongs to somebody who scans the whole internet and publishes or sells what is found.",
		find:   []look{{"censysinspect* censys.io* expanse,␠a␠palo␠alto* paloaltonetworks.com cortex-xpanse* shodan* internetmeasurement* internet-measurement* netsystemsresearch* zoomeye fofa binaryedge* onyphe cyberscan.io modatscanner* driftnet.io* ipip.net odin.io/* visionheight.com/scan* researchscan* cypex.ai/scanning*", ""}}},
}
