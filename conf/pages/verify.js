"use strict";

// A link that is opened changes nothing, for mail scanners open links too:
// the token is spent by the button.

const words = {
    ar: {
        ask: "الدخول إلى استوديو Pulse AI", go: "تسجيل الدخول",
        done: "تم تسجيل الدخول: ", failed: "تعذّر الاتصال. أعد المحاولة."
    },
    en: {
        ask: "Sign in to Pulse AI Studio", go: "Sign in",
        done: "Signed in as ", failed: "No connection. Try again."
    }
};

const locale = navigator.language.startsWith("en") ? "en" : "ar";
const word = words[locale];
const said = document.getElementById("said");
const go = document.getElementById("go");
const token = new URLSearchParams(location.search).get("token") ?? "";

document.documentElement.lang = locale;
document.documentElement.dir = locale === "ar" ? "rtl" : "ltr";
said.textContent = word.ask;
go.textContent = word.go;

// not to be left in the history, nor to be seen over a shoulder

history.replaceState(null, "", location.pathname);

go.addEventListener("click", async () => {
    go.disabled = true;

    try {
        const reply = await fetch("/v1/auth/magic-link/verify", {
            method: "POST",
            headers: {
                "Content-Type": "application/json",
                "Accept-Language": locale
            },
            body: JSON.stringify({ token })
        });
        const { data, error } = await reply.json();

        said.textContent = data ? word.done + data.user.email
                                : error.message;
        go.hidden = true;

    } catch {
        said.textContent = word.failed;
        go.disabled = false;
    }
});
