package mailer

import (
	"strings"
	"testing"

	"postroom/assets/providers"
	"postroom/post"
)

// What becomes of a delivery and its account, in one word or two.
const (
	stopsAccount   = "stop"          // the account, until the user acts; the delivery as it was
	waitsSignIn    = "wait: sign-in" // the account, 15 minutes and longer
	waitsRate      = "wait: rate"    // the account, a minute and longer, at half the rate
	waitsDay       = "wait: quota"   // the account, in steps of an hour
	fewerLinks     = "fewer"         // the account, with one connection less
	newLink        = "reconnect"     // the delivery as it was, over another connection
	triedLater     = "defer"         // the delivery alone
	triedGrey      = "grey"
	failsIt        = "fail"
	failsContent   = "fail: content" // and three of them pause the mailing
	failsNoMailbox = "suppress"      // no such mailbox
)

func becomes(v Verdict) string {
	switch {
	case v.Fate == Uncertain || v.Fate == Sent:
		return "taken?"
	case v.Account == Stop:
		return stopsAccount
	case v.Account == Wait && v.Fewer:
		return fewerLinks
	case v.Account == Wait && v.Schedule == SignIn:
		return waitsSignIn
	case v.Account == Wait && v.Schedule == Rate:
		return waitsRate
	case v.Account == Wait && v.Schedule == Quota:
		return waitsDay
	case v.Fate == Keep && v.Strike.Kind == "connection":
		return newLink
	case v.Fate == Defer && v.Schedule == Grey:
		return triedGrey
	case v.Fate == Defer:
		return triedLater
	case v.Fate == Fail && v.Suppress == SuppressNow:
		return failsNoMailbox
	case v.Fate == Fail && v.Content:
		return failsContent
	case v.Fate == Fail:
		return failsIt
	}
	return "?"
}

// providerReplies are replies of real servers, as people reported them or as
// the providers list them; names, addresses and session ids are made up. meaning
// is the key below "provider.refusal.", empty where the reply says it better.
var providerReplies = []struct {
	host    string
	phase   post.Phase
	reply   string
	meaning string
	becomes string
}{
	// Google
	{"smtp.gmail.com", post.PhaseAuth, "535 5.7.8 Username and Password not accepted. For more information, go to https://support.google.com/mail/?p=BadCredentials x1 - gsmtp", "app_password", stopsAccount},
	{"smtp.gmail.com", post.PhaseAuth, "534 5.7.9 Application-specific password required. For more information, go to https://support.google.com/mail/?p=InvalidSecondFactor x1 - gsmtp", "app_password", stopsAccount},
	{"smtp.gmail.com", post.PhaseAuth, "534 5.7.14 Please log in via your web browser and then try again.", "gmail_browser", stopsAccount},
	{"smtp.gmail.com", post.PhaseAuth, "454 4.7.0 Too many login attempts, please try again triedLater. x1 - gsmtp", "too_many_logins", waitsSignIn},
	{"smtp.gmail.com", post.PhaseDot, "550 5.4.5 Daily user sending limit exceeded. For more information on Gmail sending limits go to https://support.google.com/a/answer/166852 x1 - gsmtp", "gmail_day", waitsDay},
	{"smtp.gmail.com", post.PhaseDot, "550 5.4.5 Daily user sending quota exceeded. s124sm6149838wme.29 - gsmtp", "gmail_day", waitsDay},
	{"smtp.gmail.com", post.PhaseMAIL, "421 4.7.0 Try again triedLater, closing connection. (MAIL) x1 - gsmtp", "gmail_rate", waitsRate},
	{"smtp.gmail.com", post.PhaseRCPT, "450 4.2.1 The user you are trying to contact is receiving mail too quickly. Please resend your message at a triedLater time.", "gmail_recipient", triedGrey},
	{"smtp.gmail.com", post.PhaseRCPT, "450 4.2.1 The user you are trying to contact is receiving mail at a rate that prevents additional messages from being delivered.", "gmail_recipient", triedGrey},
	{"smtp-relay.gmail.com", post.PhaseRCPT, "450 4.2.1 Peak SMTP relay limit exceeded for this customer. This is a temporary error.", "gmail_relay", waitsRate},
	{"smtp-relay.gmail.com", post.PhaseRCPT, "550 5.7.1 Daily SMTP relay limit exceeded for this user.", "gmail_relay", waitsDay},
	{"smtp-relay.gmail.com", post.PhaseMAIL, "550 5.7.1 Invalid credentials for relay [192.0.2.1]. The IP address you've registered in your G Suite SMTP Relay service doesn't match the domain of the account this email is being sent from.", "gmail_relay", stopsAccount},
	{"smtp.gmail.com", post.PhaseDot, "552 5.7.0 This message was blocked because its failsContent presents a potential security issue.", "", failsContent},
	{"smtp.gmail.com", post.PhaseRCPT, "550 5.1.1 The email account that you tried to reach does not exist.", "", failsNoMailbox},
	// Microsoft
	{"smtp.office365.com", post.PhaseAuth, "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant. Visit https://aka.ms/smtp_auth_disabled for more information. [MN2PR05CA0004.namprd05.prod.outlook.com]", "microsoft_off", stopsAccount},
	{"smtp-mail.outlook.com", post.PhaseAuth, "535 5.7.139 Authentication unsuccessful, basic authentication is disabled. [PN0PR01CA0024.INDPRD01.PROD.OUTLOOK.COM]", "microsoft_basic", stopsAccount},
	{"smtp.office365.com", post.PhaseAuth, "535 5.7.139 Authentication unsuccessful, the user credentials were incorrect. [AM0PR10CA0001.EURPRD10.PROD.OUTLOOK.COM]", "microsoft_password", stopsAccount},
	{"smtp.office365.com", post.PhaseAuth, "535 5.7.139 Authentication unsuccessful, the request did not meet the criteria to be authenticated successfully. Contact your administrator.", "microsoft_off", stopsAccount},
	{"smtp.office365.com", post.PhaseAuth, "535 5.7.3 Authentication unsuccessful [SN2PR00CA0018.namprd00.prod.outlook.com]", "microsoft_password", stopsAccount},
	{"smtp.office365.com", post.PhaseAuth, "550 5.7.30 Basic authentication is not supported for Client Submission.", "microsoft_basic", stopsAccount},
	{"smtp.office365.com", post.PhaseMAIL, "530 5.7.57 Client not authenticated to send mail.", "microsoft_off", stopsAccount},
	{"smtp.office365.com", post.PhaseGreeting, "432 4.3.2 Concurrent connections limit exceeded.", "microsoft_connections", fewerLinks},
	{"smtp.office365.com", post.PhaseAuth, "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded", "microsoft_connections", fewerLinks},
	{"smtp.office365.com", post.PhaseMAIL, "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded", "microsoft_connections", waitsRate},
	{"smtp.office365.com", post.PhaseMAIL, "421 4.4.2 Message submission rate for this client has exceeded the configured limit", "microsoft_minute", waitsRate},
	{"smtp.office365.com", post.PhaseDot, "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; Failed to process message due to a permanent exception", "microsoft_day", waitsDay},
	{"smtp-mail.outlook.com", post.PhaseDot, "554 5.2.0 STOREDRV.Submission.Exception:OutboundSpamException; Failed to process message due to a permanent exception with message [BeginDiagnosticData]WASCL UserAction verdict is not None. Actual verdict is RefuseQuota.", "microsoft_day", waitsDay},
	{"smtp.office365.com", post.PhaseDot, "554 5.2.0 STOREDRV.Submission.Exception:OutboundSpamException; WASCL UserAction verdict is not None. Actual verdict is Suspend, ShowTierUpgrade.", "microsoft_spam", stopsAccount},
	{"smtp.office365.com", post.PhaseDot, "554 5.2.2 mailbox full; STOREDRV.Submission.Exception:QuotaExceededException.MapiExceptionShutoffQuotaExceeded", "microsoft_full", stopsAccount},
	{"smtp.office365.com", post.PhaseDot, "554 5.2.252 SendAsDenied; info@shop.example not allowed to send as news@shop.example", "microsoft_sender", stopsAccount},
	{"smtp.office365.com", post.PhaseDot, "554 5.2.0 STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied; Failed to process message due to a permanent exception", "microsoft_sender", stopsAccount},
	{"smtp.office365.com", post.PhaseDot, "550 5.7.60 SMTP; Client does not have permissions to send as this sender", "microsoft_sender", stopsAccount},
	// NetEase
	{"smtp.163.com", post.PhaseAuth, "535 Error: authentication failed", "auth_code", stopsAccount},
	{"smtp.163.com", post.PhaseAuth, "550 User has no permission", "auth_code", stopsAccount},
	{"smtp.126.com", post.PhaseAuth, "451 Requested mail action not taken: too much fail authentication", "too_many_logins", waitsSignIn},
	{"smtp.163.com", post.PhaseMAIL, "553 Mail from must equal authorized user", "sender", stopsAccount},
	{"smtp.163.com", post.PhaseMAIL, "553 Local user only,163 smtp5,HdxpCgA3f 1630777785", "sender", stopsAccount},
	{"smtp.163.com", post.PhaseDot, "554 DT:SUM 163 smtp7,EcCowADX 1630777785", "sender", stopsAccount},
	{"smtp.163.com", post.PhaseMAIL, "451 MI:SFQ 163 smtp4,DNGowAC 1564271411", "netease_quarter", waitsRate},
	{"smtp.163.com", post.PhaseRCPT, "451 MI:SFQ 163 smtp4,DNGowAC 1564271411", "netease_quarter", waitsRate},
	{"smtp.163.com", post.PhaseRCPT, "451 RP:QRC 163 smtp4,DNGowAC 1564271411", "netease_frequency", waitsRate},
	{"smtp.163.com", post.PhaseMAIL, "450 MI:DMC 163 smtp8,DMCowA 1564271411", "netease_connection", newLink},
	{"smtp.yeah.net", post.PhaseRCPT, "450 RP:DRC yeah smtp2,DMCowA 1564271411", "netease_connection", newLink},
	{"smtphz.qiye.163.com", post.PhaseDot, "554 5.5.0 MI:STC .For more information, please visit", "netease_day", waitsDay},
	{"smtp.163.com", post.PhaseMAIL, "554 MI:STC 163 smtp2,DMmowA 1564271411", "netease_day", waitsDay},
	{"smtp.163.com", post.PhaseRCPT, "550 RP:TRC 163 smtp2,DMmowA 1564271411", "netease_day", waitsDay},
	{"smtp.126.com", post.PhaseDot, "554 DT:SPM 126 smtp2,DMmowAAnNDQz4zxd 1564271411,please see http://mail.163.com/help/help_spam_16.htm", "netease_content", failsContent},
	{"smtp.163.com", post.PhaseDot, "451 DT:SPM ,please try again", "netease_spam", triedLater},
	{"smtp.163.com", post.PhaseGreeting, "421 HL:ICC 192.0.2.1", "netease_connections", fewerLinks},
	{"smtp.163.com", post.PhaseMAIL, "554 MI:SPB 163 smtp1", "netease_blocked", stopsAccount},
	{"smtp.163.com", post.PhaseRCPT, "550 Invalid User", "", failsIt},
	// Tencent
	{"smtp.qq.com", post.PhaseAuth, "535 Login Fail. Please enter your authorization code to login. More information in http://service.mail.qq.com/cgi-bin/help?subtype=1&&id=28&&no=1001256", "auth_code", stopsAccount},
	{"smtp.qq.com", post.PhaseAuth, "535 Login fail. Account is abnormal, service is not open, password is incorrect, login frequency limited, or system is busy.", "auth_code", stopsAccount},
	{"smtp.exmail.qq.com", post.PhaseAuth, "535 Error: authentication failed, system busy", "client_password", stopsAccount},
	{"smtp.qq.com", post.PhaseMAIL, "501 mail from address must be same as authorization user", "sender", stopsAccount},
	{"smtp.exmail.qq.com", post.PhaseDot, "550 Connection frequency limited", "qq_rate", waitsDay},
	{"smtp.qq.com", post.PhaseDot, "550 Sender frequency limited", "qq_rate", waitsDay},
	// Alibaba
	{"smtp.mxhichina.com", post.PhaseMAIL, "440 mail from account doesn't conform with authentication (Auth Account:admin@shop.example|Mail Account:root@shop.example)", "sender", stopsAccount},
	{"smtp.qiye.aliyun.com", post.PhaseAuth, "526 Authentication failure[0]", "client_password", stopsAccount},
	{"smtp.qiye.aliyun.com", post.PhaseDot, "554 Reject by behaviour spam ANTISPAM_BAT[01201311R196, c01a1]: too frequently sending", "aliyun_rate", waitsDay},
	{"smtp.qiye.aliyun.com", post.PhaseMAIL, "454 too frequently sending", "aliyun_rate", waitsRate},
	// Sina
	{"smtp.sina.com.cn", post.PhaseDot, "552 too many same size mails.", "sina_same", failsIt},
	{"smtp.sina.com.cn", post.PhaseDot, "552 message is too long.", "", failsIt},
	// Yahoo, AOL, iCloud, Fastmail, GMX
	{"smtp.mail.yahoo.com", post.PhaseAuth, "535 5.7.0 (#AUTH005) Too many bad auth attempts.", "app_password", stopsAccount},
	{"smtp.aol.com", post.PhaseAuth, "535 5.7.0 (#AUTH005) Too many bad auth attempts.", "app_password", stopsAccount},
	{"smtp.mail.me.com", post.PhaseMAIL, "550 5.7.0 From address is not one of your addresses", "sender", stopsAccount},
	{"smtp.mail.me.com", post.PhaseDot, "550 5.7.1 member@icloud.com: You have exceeded your daily sending limit. Please try again triedLater.", "icloud_day", waitsDay},
	{"smtp.fastmail.com", post.PhaseDot, "551 5.7.1 Not authorised to send from this header address", "sender", stopsAccount},
	{"mail.gmx.net", post.PhaseAuth, "535 Authentication credentials invalid", "gmx_access", stopsAccount},
	{"smtp.web.de", post.PhaseMAIL, "550 Sender address is not allowed.", "sender", stopsAccount},
	// Yandex, Mail.ru, Zoho
	{"smtp.yandex.ru", post.PhaseMAIL, "553 5.7.1 Sender address rejected: not owned by auth user.", "sender", stopsAccount},
	{"smtp.yandex.com", post.PhaseDot, "554 5.7.1 [2] Message rejected under suspicion of SPAM; https://ya.cc/1IrBc 1631900360-h4Ajl35YEe-dK78OYi4", "yandex_spam", failsContent},
	{"smtp.yandex.ru", post.PhaseAuth, "535 5.7.8 Error: authentication failed: Your message looks like spam. You need to use web for sending or prove you are not a robot", "yandex_spam", stopsAccount},
	{"smtp.yandex.com", post.PhaseAuth, "535 5.7.8 Error: authentication failed: This user does not have access rights to this service", "yandex_programs", stopsAccount},
	{"smtp.mail.ru", post.PhaseAuth, "535 5.7.0 NEOBHODIM parol prilozheniya https://help.mail.ru/mail/security/protection/external / Application password is REQUIRED", "app_password", stopsAccount},
	{"smtp.zoho.com", post.PhaseDot, "550 5.4.6 Unusual sending activity detected. Please try after sometime.", "zoho_blocked", stopsAccount},
	{"smtp.zoho.eu", post.PhaseDot, "554 5.1.8 Email Outgoing Blocked", "zoho_blocked", stopsAccount},
	{"smtppro.zoho.com", post.PhaseRCPT, "553 Relaying disallowed as news@shop.example", "sender", stopsAccount},
	// Services
	{"email-smtp.eu-west-1.amazonaws.com", post.PhaseDot, "454 Throttling failure: Maximum sending rate exceeded.", "ses_rate", waitsRate},
	{"email-smtp.eu-west-1.amazonaws.com", post.PhaseDot, "454 Throttling failure: Daily message quota exceeded.", "ses_day", waitsDay},
	{"email-smtp.us-east-1.amazonaws.com", post.PhaseDot, "554 Message rejected: Email address is not verified. The following identities failed the check in region US-EAST-1: news@shop.example", "ses_verified", stopsAccount},
	{"email-smtp.us-east-1.amazonaws.com", post.PhaseDot, "554 Message rejected: Sending paused for this account. For more information, please check the inbox of the email address associated with your AWS account.", "ses_paused", stopsAccount},
	{"email-smtp.us-east-1.amazonaws.com", post.PhaseDot, "554 Access denied: User `arn:aws:iam::000000000000:user/ses' is not authorized to perform `ses:SendRawEmail' on resource `arn:aws:ses:us-east-1:000000000000:identity/shop.example'", "ses_permission", stopsAccount},
	{"email-smtp.us-east-1.amazonaws.com", post.PhaseAuth, "535 Authentication Credentials Invalid", "ses_credentials", stopsAccount},
	{"email-smtp.us-east-1.amazonaws.com", post.PhaseAuth, "454 Temporary authentication failure", "", waitsSignIn},
	{"email-smtp.us-east-1.amazonaws.com", post.PhaseMAIL, "530 Authentication required", "", stopsAccount},
	{"smtp.sendgrid.net", post.PhaseDot, "550 The from address does not match a verified Sender Identity. Mail cannot be sent until this error is resolved.", "sendgrid_sender", stopsAccount},
	{"smtp.sendgrid.net", post.PhaseAuth, "451 Authentication failed: Maximum credits exceeded", "sendgrid_credits", waitsSignIn},
	{"smtp-relay.brevo.com", post.PhaseAuth, "525 5.7.1 Unauthorized IP address", "brevo_ip", stopsAccount},
	{"smtp-relay.brevo.com", post.PhaseAuth, "535 5.7.0 Invalid login or password", "brevo_key", stopsAccount},
	{"smtp-relay.brevo.com", post.PhaseDot, "502 5.7.0 Your SMTP account is not yet activated. Please contact us at contact@sendinblue.com to request activation.", "brevo_activation", stopsAccount},
	{"smtp-relay.brevo.com", post.PhaseDot, "450 Your SMTP account is not yet activated. Please contact us at contact@sendinblue.com to request activation.", "brevo_activation", stopsAccount},
	{"smtp.mailgun.org", post.PhaseDot, "421 Domain mg.shop.example is not allowed to send: Sandbox subdomains are for test purposes only. Please add your own domain or add the address to authorized recipients in Account Settings.", "mailgun_domain", stopsAccount},
	// The same words from somebody else mean nothing in particular to us, but no
	// recipient pays for them.
	{"smtp.shop.example", post.PhaseDot, "554 5.5.0 MI:STC", "", waitsDay},
	{"smtp.shop.example", post.PhaseDot, "550 5.4.6 Routing loop detected", "", failsIt},
	{"smtp.shop.example", post.PhaseRCPT, "451 4.7.1 Greylisted, please come back", "", triedGrey},
}

// TestProviderReplies: what the user is told of a provider's reply, and what the
// mailer does about it.
func TestProviderReplies(t *testing.T) {
	passed := 0
	for _, c := range providerReplies {
		e := on(c.phase, c.reply)
		e.DotSent = c.phase == post.PhaseDot
		v := Judge(e)
		meaning := strings.TrimPrefix(providers.Meaning(c.host, e.Reply.String()).Key, "provider.refusal.")
		if meaning != c.meaning || becomes(v) != c.becomes {
			t.Errorf("%s at %s: %q: means %q, want %q; %s, want %s", c.host, c.phase, c.reply, meaning, c.meaning, becomes(v), c.becomes)
			continue
		}
		if (c.becomes == stopsAccount || strings.HasPrefix(c.becomes, "wait") || c.becomes == fewerLinks) && (v.Fate != Keep || v.Suppress != SuppressNo) {
			t.Errorf("%s: %q: the recipient pays for it: %+v", c.host, c.reply, v)
			continue
		}
		passed++
	}
	if len(providerReplies) < 60 {
		t.Errorf("%d replies only", len(providerReplies))
	}
	t.Logf("%d passed, %d failed", passed, len(providerReplies)-passed)
}
