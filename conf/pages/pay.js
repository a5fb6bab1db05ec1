"use strict";

// The form of a payment, or what became of it.  Nothing is decided here: what
// a provider says comes to the studio from the provider.

const words = {
    ar: {
        title: "الدفع",
        waiting: "ننتظر تأكيد مزوّد الدفع…",
        paid: "تم الدفع، شكرًا لك.",
        failed: "لم تتم عملية الدفع، ولم يُخصم أي مبلغ.",
        again: "حاول مرة أخرى",
        expired: "انتهت مهلة هذه العملية. ابدأ من جديد.",
        review: "وصل المبلغ وتجري مراجعته.",
        refunded: "أُعيد المبلغ.",
        unknown: "لا توجد عملية دفع كهذه. سجّل الدخول ثم أعد المحاولة."
    },
    en: {
        title: "Payment",
        waiting: "Waiting for the payment provider to confirm…",
        paid: "It is paid. Thank you.",
        failed: "The payment did not go through; nothing was taken.",
        again: "Try again",
        expired: "This payment has expired. Start anew.",
        review: "The payment has arrived and is being looked at.",
        refunded: "The money was returned.",
        unknown: "There is no such payment. Sign in and try again."
    }
};

const ends = {
    paid: "paid", failed: "failed", expired: "expired", review: "review",
    refunded: "refunded", partly_refunded: "refunded",
    charged_back: "refunded"
};

const locale = navigator.language.startsWith("en") ? "en" : "ar";
const word = words[locale];
const said = document.getElementById("said");
const query = new URLSearchParams(location.search);
const id = encodeURIComponent(query.get("payment") ?? "");
let looks = 0;

document.documentElement.lang = locale;
document.documentElement.dir = locale === "ar" ? "rtl" : "ltr";
document.getElementById("title").textContent = word.title;

// a script of the provider's draws its fields into the form

function draw(widget) {
    const form = document.createElement("form");
    const script = document.createElement("script");

    window.wpwlOptions = { locale, style: "card", paymentTarget: "_top" };

    form.className = "paymentWidgets";
    form.action = `${location.origin}/v1/payments/return/hyperpay?payment=${id}`;
    form.dataset.brands = widget.brands;

    script.src = widget.script;
    script.crossOrigin = "anonymous";
    script.integrity = widget.integrity ?? "";

    document.getElementById("form").append(form, script);
}

// a card that was declined may be followed by another one

function offer() {
    const link = document.createElement("a");

    link.href = `/pay?payment=${id}`;
    link.textContent = word.again;

    document.getElementById("form").replaceChildren(link);
}

function again() {
    if (++looks < 60) {
        setTimeout(look, 5000);
    }
}

async function look() {
    const reply = await fetch(`/v1/payments/${id}`).catch(() => null);
    const payment = reply?.ok ? (await reply.json()).data : null;

    if (!payment) {
        said.textContent = word.unknown;

    } else if (payment.widget && !query.has("back")) {
        draw(payment.widget);

    } else if (ends[payment.status]) {
        said.textContent = word[ends[payment.status]];
        document.getElementById("form").replaceChildren();

        // what failed may have been the card before this one

        if (payment.widget) {
            offer();
            again();
        }

    } else {
        said.textContent = word.waiting;
        again();
    }
}

look();
