package contacts

import (
	"strings"

	"postroom/post"
)

// The headers by which columns are recognised, as headerWord writes them.
// English, German, French, Spanish, Italian, Portuguese, Dutch, the Nordic
// languages, Polish, Czech, Hungarian, Turkish, Russian, Chinese, Japanese and
// Korean; and what Google, Outlook and shop programs call theirs.
var (
	emailWords = words(`
		email emails mail emailaddress emailaddresses mailaddress emailid useremail customeremail contactemail
		primaryemail emailprimary email1 email1value emailaddress1 emailhome emailwork workemail businessemail homeemail
		emailadresse emailadressen mailadresse kundenemail adresseemail adresseemails adressemail adressedemessagerie
		adressedecourriel adressecourriel courriel courrielélectronique mél correo correos correoelectrónico
		correoelectronico direccióndecorreo direccióndecorreoelectrónico direcciondecorreo direccióndeemail indirizzoemail
		indirizzodipostaelettronica postaelettronica indirizzomail endereçodeemail endereçoemail correioeletrónico
		correioeletrônico emailadres mailadres epost epostadress epostadresse epostadr eposta epostaadresi sähköposti
		sähköpostiosoite adresemail adrespocztyelektronicznej pocztaelektroniczna emailováadresa emailcím почта
		электроннаяпочта эlпочта элпочта адресэлектроннойпочты имейл емейл
		邮箱 邮箱地址 电子邮箱 电子邮箱地址 电子邮件 电子邮件地址 邮件 邮件地址 电邮 电邮地址 郵箱 電子郵件 電子郵件地址 電子郵箱 電郵 電郵地址 信箱 e邮箱
		メール メールアドレス eメール eメールアドレス 電子メール 電子メールアドレス 이메일 이메일주소 전자우편 메일`)
	nameWords = words(`
		name fullname displayname contactname contact customername clientname recipientname recipient kunde kundenname
		vollständigername ansprechpartner anzeigename nomcomplet nometprénom nomprénom prénometnom nombre nombrecompleto
		nombreyapellidos nombreyapellido nome nomecompleto nomeecognome nominativo naam volledigenaam navn namn nimi
		fulltnavn imięinazwisko imieinazwisko jméno jménoapříjmení név teljesnév ad adsoyad adısoyadı isim имя фио полноеимя
		姓名 名字 名称 名稱 全名 联系人 聯絡人 客户 客户姓名 客户名称 收件人 称呼 氏名 お名前 名前 이름 성명`)
	firstWords = words(`
		firstname givenname forename first vorname rufname prénom prenom prénoms nombredepila primernombre primeironome
		voornaam förnamn fornavn etunimi imię imie křestníjméno keresztnév utónév имя 名 givennames`)
	lastWords = words(`
		lastname surname familyname last nachname familienname zuname nomdefamille apellido apellidos cognome sobrenome
		apelido achternaam familienaam efternavn efternamn etternavn sukunimi nazwisko příjmení vezetéknév családnév
		soyad soyadı фамилия 姓 姓氏`)
	// Given names where a family name stands beside them, else whole names.
	firstIfLast = words("name nombre nome имя imię imie jméno ad isim név 名 名字 名前 이름")
	// Family names where a given name stands beside them, else whole names.
	lastIfFirst = words("name nom naam namn navn nimi")
)

func init() { nameWords["nom"] = true }

func words(s string) map[string]bool {
	set := make(map[string]bool)
	for w := range strings.FieldsSeq(s) {
		set[w] = true
	}
	return set
}

// headerWord brings "E-Mail Address" and "email_address" into one form.
func headerWord(header string) string {
	return strings.ReplaceAll(post.FieldName(header, nil), "_", "")
}

// soundsLikeEmail is for headers such as "Kunden E-Mail" or "Email (work)".
// It is believed only when addresses stand below.
func soundsLikeEmail(word string) bool {
	for _, part := range []string{"email", "mailad", "courriel", "correo", "epost", "邮箱", "邮件", "电邮", "郵箱", "郵件", "メール", "이메일"} {
		if strings.Contains(word, part) {
			return true
		}
	}
	return false
}
