package receipts

import "strings"

// Words by which people and machines say things, in lower case.
var (
	outWords = []string{
		"unsubscribe", "please remove me", "remove me from", "take me off", "opt out", "opt-out", "stop sending me",
		"退订", "取消订阅", "退訂", "取消訂閱", "不要再发", "abmelden", "abbestellen", "austragen", "keine weiteren mails", "désinscri", "désabonn", "desinscri", "darme de baja",
		"darse de baja", "cancelar suscripción", "disiscriv", "cancellami", "uitschrijven", "afmelden", "配信停止",
	}
	// A line with one of these speaks about leaving out, and does not ask for it.
	notOutWords = []string{"not ", "n't", "nicht", "kein grund", "不想退订", "没有退订", "别退订", "不退订", "click", "http", "to unsubscribe", "um sich", "如需退订", "?", "？"}

	automaticWords = []string{
		"automatic reply", "auto reply", "auto-reply", "autoreply", "out of office", "out of the office", "automatische antwort", "abwesenheitsnotiz",
		"自动回复", "自動回覆", "réponse automatique", "absence du bureau", "respuesta automática", "risposta automatica", "automatisch antwoord", "自動応答", "vacation:",
	}

	bounceSubjects = []string{
		"undeliver", "failure notice", "delivery status notification", "delivery failure", "delivery failed", "mail delivery failed", "returned mail",
		"delivery notification", "mail system error", "nondeliverable", "non-deliverable", "delivery has failed", "message status", "delayed",
		"warning: could not send", "could not be delivered", "unzustellbar", "nicht zugestellt", "zustellung", "zustellbarkeit", "退信", "系统退信", "无法投递", "投递失败",
		"non remis", "non distribu", "échec de la remise", "no se puede entregar", "devuelto", "mancata consegna", "onbestelbaar", "rebote", "bounce", "expired",
	}
	delayWords = []string{
		"delayed", "still being retried", "will be retried", "will keep trying", "will continue to try", "attempts will continue", "still trying", "not yet been delivered",
		"no action is required", "do not need to resend", "don't need to resend", "could not be delivered yet", "still undelivered", "temporary problem delivering",
		"verzögert", "wird weiterhin versucht", "延迟", "会继续尝试", "继续投递", "retardé",
	}
	// What only a final report says.
	finalWords = []string{
		"permanent error", "given up", "giving up", "permanent failure", "permanent fatal", "permanently", "returned to sender", "fatal error", "no longer be retried",
		"message has been rejected", "address not found", "wasn't delivered", "couldn't be delivered", "could not be delivered to one or more", "will not be delivered",
		"delivery to the following recipients failed", "did not reach", "couldn't be found", "wasn't found", "unable to deliver", "unrouteable address", "unknown user",
		"user unknown", "does not exist", "no such user", "mailbox not found", "delivery has failed to these", "existiert nicht", "endgültig", "konnte nicht zugestellt werden",
		"无法送达", "无法投递", "不存在", "被拒绝", "拒绝接收", "退回", "n'existe pas", "no existe", "non esiste", "retry timeout exceeded", "retry time not reached for any host after a long failure period",
	}
)

func hasAny(s string, words []string) bool {
	for _, w := range words {
		if strings.Contains(s, w) {
			return true
		}
	}
	return false
}
