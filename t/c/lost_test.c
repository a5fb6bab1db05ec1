
#include "unit_recording.h"


/*
 * What answers have beside text and calls: sources, pictures, logprobs and
 * what the provider's own tools did.  A client of another dialect gets it, or
 * it is named.
 */


#define TEST_OWN_TEXT  "\u0645\u0631\u062d\u0628\u0627 \U0001f600 "
#define TEST_OWN_CITED "\u0627\u0644\u0628\u062d\u0631"


typedef struct {
    const char           *name;
    ngx_pulse_dialect_t  *dialect;
    const char           *stream;
} test_own_t;


static void test_recorded(void);
static void test_recording(unit_recording_t *recording);
static void test_client(unit_recording_t *recording,
    ngx_pulse_dialect_t *client);
static void test_named(const ngx_str_t *body, const unit_stream_t *s);
static ngx_uint_t test_has(const ngx_str_t *body, const char *name);
static ngx_uint_t test_lost(const unit_stream_t *s, const char *name);
static void test_carried(unit_stream_t *s, unit_stream_t *back);
static void test_citation(const unit_stream_t *s, ngx_pulse_citation_t *one,
    ngx_pulse_citation_t *two);
static ngx_pulse_citation_t *test_citations(unit_stream_t *s);
static ngx_uint_t test_images(unit_stream_t *s);

static void test_places(void);
static void test_play(unit_stream_t *s, test_own_t *own,
    ngx_pulse_dialect_t *client);
static void test_place(test_own_t *own, ngx_pulse_dialect_t *client);
static void test_logprobs(void);
static void test_probable(test_own_t *own, ngx_pulse_dialect_t *client);
static ngx_str_t test_list(unit_stream_t *s);
static void test_many(void);
static void test_unplaced(void);
static void test_marks(void);
static void test_endless(void);


static ngx_pulse_dialect_t  *test_dialects[] = {
    &ngx_pulse_dialect_openai,
    &ngx_pulse_dialect_responses,
    &ngx_pulse_dialect_anthropic,
    &ngx_pulse_dialect_gemini,
    NULL
};


static const char  *test_apis[] = {
    "openai.chat", "openai.responses", "anthropic.messages",
    "gemini.generateContent", NULL
};


/* the types of blocks, items and citations, and names of members, that no
 * other dialect has a word for */

static const char  *test_types[] = {
    "server_tool_use", "web_search_tool_result", "web_fetch_tool_result",
    "code_execution_tool_result", "bash_code_execution_tool_result",
    "text_editor_code_execution_tool_result", "tool_search_tool_result",
    "advisor_tool_result", "mcp_tool_use", "mcp_tool_result",
    "char_location", "page_location", "web_search_call", "file_search_call",
    "code_interpreter_call", "mcp_call", "mcp_list_tools", "shell_call",
    "local_shell_call", "file_citation", "container_file_citation",
    "executableCode", "codeExecutionResult", "searchEntryPoint",
    "webSearchQueries", "urlContextMetadata", "toolCall", "toolResponse", NULL
};


static ngx_pulse_dialect_t  *test_dialect;      /* of the recordings */
static ngx_uint_t            test_ncitations;
static ngx_uint_t            test_nnamed;
static ngx_uint_t            test_nimages;
static ngx_uint_t            test_nbroken;


/* one text, whose last word is cited */

static test_own_t  test_cited[] = {

    { "chat", &ngx_pulse_dialect_openai,
      "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\""
      TEST_OWN_TEXT TEST_OWN_CITED "\"}}]}\n\n"
      "data: {\"choices\":[{\"index\":0,\"delta\":{\"annotations\":[{\"type\":"
      "\"url_citation\",\"url_citation\":{\"url\":\"https://sea.example\","
      "\"title\":\"Sea\",\"start_index\":8,\"end_index\":13}}]}}]}\n\n"
      "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":"
      "\"stop\"}]}\n\ndata: [DONE]\n\n" },

    { "responses", &ngx_pulse_dialect_responses,
      "data: {\"type\":\"response.output_text.delta\",\"output_index\":0,"
      "\"content_index\":0,\"delta\":\"" TEST_OWN_TEXT TEST_OWN_CITED
      "\"}\n\n"
      "data: {\"type\":\"response.output_text.annotation.added\","
      "\"output_index\":0,\"content_index\":0,\"annotation\":{\"type\":"
      "\"url_citation\",\"url\":\"https://sea.example\",\"title\":\"Sea\","
      "\"start_index\":8,\"end_index\":13}}\n\n"
      "data: {\"type\":\"response.completed\",\"response\":{\"status\":"
      "\"completed\"}}\n\n" },

    { "anthropic", &ngx_pulse_dialect_anthropic,
      "data: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"usage\":"
      "{}}}\n\n"
      "data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":"
      "{\"type\":\"text\",\"text\":\"" TEST_OWN_TEXT "\"}}\n\n"
      "data: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
      "data: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":"
      "{\"type\":\"text\",\"text\":\"\",\"citations\":[]}}\n\n"
      "data: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\""
      ":\"citations_delta\",\"citation\":{\"type\":"
      "\"web_search_result_location\",\"url\":\"https://sea.example\","
      "\"title\":\"Sea\",\"cited_text\":\"\",\"encrypted_index\":\"E\"}}}\n\n"
      "data: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\""
      ":\"text_delta\",\"text\":\"" TEST_OWN_CITED "\"}}\n\n"
      "data: {\"type\":\"content_block_stop\",\"index\":1}\n\n"
      "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":"
      "\"end_turn\"},\"usage\":{\"output_tokens\":1}}\n\n"
      "data: {\"type\":\"message_stop\"}\n\n" },

    /* the bytes are of the second part, as a provider may count them */

    { "gemini", &ngx_pulse_dialect_gemini,
      "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\""
      TEST_OWN_TEXT "\"},{\"text\":\"" TEST_OWN_CITED "\"}]},"
      "\"finishReason\":\"STOP\",\"groundingMetadata\":{\"groundingChunks\":"
      "[{\"web\":{\"uri\":\"https://sea.example\",\"title\":\"Sea\"}}],"
      "\"groundingSupports\":[{\"segment\":{\"partIndex\":1,\"endIndex\":10,"
      "\"text\":\"" TEST_OWN_CITED "\"},\"groundingChunkIndices\":[0,9]}]}}]}"
      "\r\n\r\n" }
};


#define TEST_PROBABLE                                                         \
    "{\"token\":\"Hi\",\"logprob\":-0.25,\"bytes\":null,\"top_logprobs\":"    \
    "[{\"token\":\"Hi\",\"logprob\":-0.25,\"bytes\":null},{\"token\":\"\\\"\""\
    ",\"logprob\":-2,\"bytes\":null}]}"


static test_own_t  test_likely[] = {

    { "chat", &ngx_pulse_dialect_openai,
      "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":"
      "\"Hi\"},\"logprobs\":{\"content\":[ " TEST_PROBABLE "\ndata: ],"
      "\"refusal\":null}}]}\n\n"
      "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":"
      "\"stop\",\"logprobs\":{\"content\":[" TEST_PROBABLE "]}}]}\n\n"
      "data: [DONE]\n\n" },

    { "responses", &ngx_pulse_dialect_responses,
      "data: {\"type\":\"response.output_text.delta\",\"output_index\":0,"
      "\"content_index\":0,\"delta\":\"Hi\",\"logprobs\":[" TEST_PROBABLE ","
      TEST_PROBABLE "]}\n\n"
      "data: {\"type\":\"response.completed\",\"response\":{\"status\":"
      "\"completed\"}}\n\n" },

    { "gemini", &ngx_pulse_dialect_gemini,
      "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Hi\"}]},"
      "\"finishReason\":\"STOP\",\"logprobsResult\":{\"chosenCandidates\":"
      "[{\"token\":\"Hi\",\"tokenId\":7,\"logProbability\":-0.25},"
      "{\"token\":\"Hi\",\"logProbability\":-0.25}],\"topCandidates\":"
      "[{\"candidates\":[{\"token\":\"Hi\",\"logProbability\":-0.25},"
      "{\"token\":\"\\\"\",\"logProbability\":-2}]},"
      "{\"candidates\":[{\"token\":\"Hi\",\"logProbability\":-0.25},"
      "{\"token\":\"\\\"\",\"logProbability\":-2}]}]}}]}\r\n\r\n" }
};


int
main(void)
{
    test_recorded();
    test_places();
    test_logprobs();
    test_many();
    test_unplaced();
    test_marks();
    test_endless();

    return unit_done();
}


static void
test_recorded(void)
{
    ngx_uint_t  i;

    if (unit_shared() == NULL) {
        return;
    }

    for (i = 0; test_apis[i]; i++) {
        test_dialect = test_dialects[i];
        check(unit_recordings(test_apis[i], test_recording) > 50);
    }

    printf("# lost: %lu citations, %lu pictures carried, %lu things named\n",
           (unsigned long) test_ncitations, (unsigned long) test_nimages,
           (unsigned long) test_nnamed);

    check(test_ncitations > 100);
    check(test_nimages > 0);
    check(test_nnamed > 100);
    check(test_nbroken <= 3);
}


static void
test_recording(unit_recording_t *recording)
{
    ngx_uint_t  i;

    if (ngx_pulse_json_get(recording->expected, "concatenated")
        || unit_number(recording->expected, "http_status") >= 400
        || ngx_pulse_member(recording->expected, "error"))
    {
        return;
    }

    for (i = 0; test_dialects[i]; i++) {
        if (test_dialects[i] != test_dialect) {
            test_client(recording, test_dialects[i]);
        }
    }
}


static void
test_client(unit_recording_t *recording, ngx_pulse_dialect_t *client)
{
    ngx_int_t      rc;
    ngx_str_t      text;
    unit_stream_t  s, back;

    unit_translate(&s, test_dialect, client);

    rc = recording->stream
         ? unit_feed(&s, recording->body.data, recording->body.len, 0,
                     recording->body.len)
         : unit_whole(&s, &recording->body);

    /* an event of one recording is no JSON */

    if (rc != NGX_OK) {
        test_nbroken++;
        unit_end(&s);
        return;
    }

    test_named(&recording->body, &s);

    /* a stream, and a whole answer */

    unit_start(&back, client);
    check_int(unit_feed(&back, s.out.data, s.out.len, 0, s.out.len), NGX_OK);
    test_carried(&s, &back);
    unit_end(&back);

    unit_start(&back, client);
    s.out.len = 0;
    client->write_answer(&s.collector, &s.cv, 0, &s.out);
    text = unit_text(&s.out);
    check_int(unit_whole(&back, &text), NGX_OK);
    test_carried(&s, &back);
    unit_end(&back);

    unit_end(&s);
}


static void
test_named(const ngx_str_t *body, const unit_stream_t *s)
{
    ngx_uint_t  i;

    for (i = 0; test_types[i]; i++) {

        if (test_has(body, test_types[i])) {
            check_text(test_lost(s, test_types[i]) ? "" : test_types[i], "");
            test_nnamed++;
        }
    }
}


/* as a type, or as a member with something in it */

static ngx_uint_t
test_has(const ngx_str_t *body, const char *name)
{
    ngx_uint_t  i;
    char        text[128];

    static const char  *forms[] = {
        "\"type\":\"%s\"", "\"type\": \"%s\"", "\"%s\":{\"", "\"%s\": {\"",
        "\"%s\": {\n", "\"%s\": [\"", "\"%s\":[\"", "\"%s\": [\n"
    };

    for (i = 0; i < sizeof(forms) / sizeof(char *); i++) {

        /* usage counts those of Anthropic by the same name */

        if (i >= 2 && strchr(name, '_')) {
            break;
        }

        (void) snprintf(text, sizeof(text), forms[i], name);

        if (memmem(body->data, body->len, text, strlen(text))) {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
test_lost(const unit_stream_t *s, const char *name)
{
    ngx_uint_t  i;

    for (i = 0; i < s->lost.n; i++) {
        if (ngx_pulse_is(&s->lost.names[i], name)) {
            return 1;
        }
    }

    return 0;
}


static void
test_carried(unit_stream_t *s, unit_stream_t *back)
{
    ngx_uint_t             images;
    ngx_pulse_citation_t  *one, *two;

    one = test_citations(s);
    two = test_citations(back);

    if (!test_lost(s, "citations")) {

        for ( /* void */ ; one && two; one = one->next, two = two->next) {
            test_citation(s, one, two);
        }

        check(one == NULL && two == NULL);
    }

    images = test_images(s);

    if (s->client == &ngx_pulse_dialect_anthropic) {
        check_int(test_lost(s, "image"), images != 0);

    } else {
        check_int(test_images(back), images);
        test_nimages += images;
    }
}


/* what a dialect has no word for is left out of the comparison: of Gemini the
 * words of the source, of Anthropic the place inside of a block */

static void
test_citation(const unit_stream_t *s, ngx_pulse_citation_t *one,
    ngx_pulse_citation_t *two)
{
    test_ncitations++;

    check_mem(two->url.data, two->url.len, one->url.data, one->url.len);
    check_mem(two->title.data, two->title.len, one->title.data,
              one->title.len);

    if (s->client != &ngx_pulse_dialect_gemini) {
        check_mem(two->text.data, two->text.len, one->text.data,
                  one->text.len);

    } else if (one->text.len) {
        check(test_lost(s, "citations.cited_text"));
    }

    if (s->client == &ngx_pulse_dialect_anthropic) {
        return;
    }

    /* a source of words in a part before has no place in Responses */

    if (s->client == &ngx_pulse_dialect_responses && two->end == 0) {
        check(one->end == 0 || one->start < one->part);
        return;
    }

    check_int(two->start, one->start);
    check_int(two->end, one->end);
}


/* of all parts, as one list */

static ngx_pulse_citation_t *
test_citations(unit_stream_t *s)
{
    ngx_pulse_part_t       *part;
    ngx_pulse_citation_t   *list, *citation, *copy, **last;

    list = NULL;
    last = &list;

    for (part = s->collector.parts; part; part = part->next) {
        for (citation = part->citations; citation; citation = citation->next) {
            copy = ngx_palloc(s->pool, sizeof(ngx_pulse_citation_t));
            *copy = *citation;
            copy->next = NULL;
            *last = copy;
            last = &copy->next;
        }
    }

    return list;
}


static ngx_uint_t
test_images(unit_stream_t *s)
{
    ngx_uint_t         n;
    ngx_pulse_part_t  *part;

    n = 0;

    for (part = s->collector.parts; part; part = part->next) {
        n += (part->type == NGX_PULSE_PART_IMAGE && part->data.len
              && part->media_type.len);
    }

    return n;
}


/* of what no other dialect counts as it does */

static void
test_places(void)
{
    ngx_uint_t  i, k;

    for (i = 0; i < sizeof(test_cited) / sizeof(test_own_t); i++) {
        for (k = 0; test_dialects[k]; k++) {
            unit_case("cited by %s for %s", test_cited[i].name,
                      test_dialects[k]->name.data);
            test_place(&test_cited[i], test_dialects[k]);
        }
    }

    unit_case(NULL);
}


static void
test_play(unit_stream_t *s, test_own_t *own, ngx_pulse_dialect_t *client)
{
    unit_translate(s, own->dialect, client);
    check_int(unit_feed(s, (u_char *) own->stream, strlen(own->stream), 0,
                        strlen(own->stream)),
              NGX_OK);
}


static void
test_place(test_own_t *own, ngx_pulse_dialect_t *client)
{
    unit_stream_t          s, back;
    ngx_pulse_citation_t  *citation;

    test_play(&s, own, client);
    check_int(s.lost.n, 0);

    citation = test_citations(&s);
    check(citation && citation->next == NULL);
    check_int(citation->start, 8);
    check_int(citation->end, 13);
    check_int(citation->from, sizeof(TEST_OWN_TEXT) - 1);
    check_int(citation->to, sizeof(TEST_OWN_TEXT TEST_OWN_CITED) - 1);

    unit_start(&back, client);
    check_int(unit_feed(&back, s.out.data, s.out.len, 0, s.out.len), NGX_OK);
    test_carried(&s, &back);
    unit_end(&back);
    unit_end(&s);
}


static void
test_logprobs(void)
{
    ngx_uint_t  i, k;

    for (i = 0; i < sizeof(test_likely) / sizeof(test_own_t); i++) {
        for (k = 0; test_dialects[k]; k++) {
            unit_case("likely by %s for %s", test_likely[i].name,
                      test_dialects[k]->name.data);
            test_probable(&test_likely[i], test_dialects[k]);
        }
    }

    unit_case(NULL);
}


static void
test_probable(test_own_t *own, ngx_pulse_dialect_t *client)
{
    ngx_str_t      list, text;
    unit_stream_t  s, back;

    static const char  expected[] = TEST_PROBABLE "," TEST_PROBABLE;

    test_play(&s, own, client);

    if (client == &ngx_pulse_dialect_anthropic) {
        check(test_lost(&s, "logprobs"));
        unit_end(&s);
        return;
    }

    check_int(s.lost.n, 0);

    unit_start(&back, client);
    check_int(unit_feed(&back, s.out.data, s.out.len, 0, s.out.len), NGX_OK);
    list = test_list(&back);
    check_mem(list.data, list.len, expected, sizeof(expected) - 1);
    unit_end(&back);

    unit_start(&back, client);
    s.out.len = 0;
    client->write_answer(&s.collector, &s.cv, 0, &s.out);
    text = unit_text(&s.out);
    check_int(unit_whole(&back, &text), NGX_OK);
    list = test_list(&back);
    check_mem(list.data, list.len, expected, sizeof(expected) - 1);
    unit_end(&back);
    unit_end(&s);
}


/* without the white space that a reader leaves */

static ngx_str_t
test_list(unit_stream_t *s)
{
    ngx_str_t          list;
    ngx_pulse_buf_t   *b;
    ngx_pulse_part_t  *part;

    b = ngx_pcalloc(s->pool, sizeof(ngx_pulse_buf_t));
    check_int(ngx_pulse_buf_init_pool(b, 0, s->pool), NGX_OK);

    for (part = s->collector.parts; part; part = part->next) {

        if (part->logprobs.len) {
            if (b->len) {
                ngx_pulse_buf_char(b, ',');
            }

            ngx_pulse_json_compact(&part->logprobs, b);
        }
    }

    list.data = b->data;
    list.len = b->len;

    return list;
}


/* a block with more sources than are held until it is over */

static void
test_many(void)
{
    ngx_uint_t                 i;
    unit_stream_t              s;
    ngx_pulse_citation_t       citation, *list;
    ngx_pulse_answer_event_t   ev;

    unit_case("many sources");
    unit_translate(&s, &ngx_pulse_dialect_anthropic,
                   &ngx_pulse_dialect_openai);

    memset(&ev, 0, sizeof(ev));
    ev.type = NGX_PULSE_ANSWER_START;
    check_int(unit_event(&s, &ev), NGX_OK);

    ev.type = NGX_PULSE_ANSWER_TEXT;
    ev.text = unit_str("x");
    check_int(unit_event(&s, &ev), NGX_OK);

    for (i = 0; i < 100; i++) {
        memset(&citation, 0, sizeof(citation));
        citation.unit = NGX_PULSE_CITED_BLOCK;
        citation.url = unit_str("https://a.example");
        ev.type = NGX_PULSE_ANSWER_CITATION;
        ev.citation = &citation;
        check_int(unit_event(&s, &ev), NGX_OK);
    }

    check(test_citations(&s) == NULL);
    check(test_lost(&s, "citations"));

    ev.type = NGX_PULSE_ANSWER_PART_END;
    check_int(unit_event(&s, &ev), NGX_OK);

    for (i = 0, list = test_citations(&s); list; list = list->next) {
        check_int(list->start, 0);
        check_int(list->end, 1);
        i++;
    }

    check_int(i, 64);

    unit_end(&s);
    unit_case(NULL);
}


/* places that are none: beyond the text, backwards, of other words */

static void
test_unplaced(void)
{
    ngx_uint_t                 i;
    unit_stream_t              s;
    ngx_pulse_citation_t       citation, *list;
    ngx_pulse_answer_event_t   ev;

    static const struct {
        const char  *quote;
        int64_t      start;
        int64_t      end;
    } wrong[] = {
        { "", 0, 9 }, { "", 4, 4 }, { "", 3, 1 }, { "other", 0, 5 },
        { "", INT32_MAX, INT32_MAX }, { "words", 0, 0 }
    };

    unit_case("no place");

    for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        unit_translate(&s, &ngx_pulse_dialect_gemini,
                       &ngx_pulse_dialect_openai);

        memset(&ev, 0, sizeof(ev));
        ev.type = NGX_PULSE_ANSWER_TEXT;
        ev.text = unit_str("text");
        check_int(unit_event(&s, &ev), NGX_OK);

        memset(&citation, 0, sizeof(citation));
        citation.unit = NGX_PULSE_CITED_BYTES;
        citation.url = unit_str("https://a.example");
        citation.quote = unit_str(wrong[i].quote);
        citation.start = wrong[i].start;
        citation.end = wrong[i].end;

        ev.type = NGX_PULSE_ANSWER_CITATION;
        ev.citation = &citation;
        check_int(unit_event(&s, &ev), NGX_OK);

        list = test_citations(&s);
        check(list != NULL);
        check_int(list->start, 0);
        check_int(list->end, 0);

        unit_end(&s);
    }

    unit_case(NULL);
}


/* around each mark of the relay, and at both ends, of characters that are two
 * to four bytes long, as they come in pieces */

static void
test_marks(void)
{
    size_t                     from, to, cut;
    int64_t                    n, at;
    ngx_uint_t                 i, k;
    unit_stream_t              s;
    ngx_pulse_buf_t            text;
    ngx_pulse_citation_t       citation, *list;
    ngx_pulse_answer_event_t   ev;

    static const char     *letters[] = {
        "a", "\u0639", "\u2603", "\U0001f319"
    };
    static const int64_t   places[] = {
        0, 1, 1638, 1639, 1640, 3276, 3277, 3278, 4914, 4915, 4916, 9999
    };

    unit_case("marks");
    unit_translate(&s, &ngx_pulse_dialect_gemini, &ngx_pulse_dialect_openai);
    ngx_pulse_buf_init(&text, 0);

    for (n = 0; n < 10000; n++) {
        ngx_pulse_buf_append(&text, (u_char *) letters[n % 4],
                             strlen(letters[n % 4]));
    }

    memset(&ev, 0, sizeof(ev));
    ev.type = NGX_PULSE_ANSWER_TEXT;

    for (from = 0; from < text.len; from += cut) {
        cut = ngx_min(text.len - from, 1000);
        ev.text.data = text.data + from;
        ev.text.len = cut;
        check_int(unit_event(&s, &ev), NGX_OK);

        /* the marks grow with the text */

        memset(&citation, 0, sizeof(citation));
        citation.unit = NGX_PULSE_CITED_HERE;
        citation.url = unit_str("https://grow.example");
        citation.end = 1;
        ev.type = NGX_PULSE_ANSWER_CITATION;
        ev.citation = &citation;
        check_int(unit_event(&s, &ev), NGX_OK);
        ev.type = NGX_PULSE_ANSWER_TEXT;
    }

    ev.type = NGX_PULSE_ANSWER_CITATION;

    for (k = 0; k < 2; k++) {

        for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {

            for (n = 0, from = 0; n < places[i]; n++) {
                from += strlen(letters[n % 4]);
            }

            at = places[i];
            to = from + strlen(letters[at % 4]);

            memset(&citation, 0, sizeof(citation));
            citation.url = unit_str("https://a.example");
            citation.unit = k ? NGX_PULSE_CITED_BYTES : NGX_PULSE_CITED_HERE;
            citation.start = k ? (int64_t) from : at;
            citation.end = k ? (int64_t) to : at + 1;
            check_int(unit_event(&s, &ev), NGX_OK);

            check_int(citation.start, at);
            check_int(citation.end, at + 1);
            check_int(citation.from, from);
            check_int(citation.to, to);
        }
    }

    list = test_citations(&s);
    check(list != NULL);

    ngx_pulse_buf_free(&text);
    unit_end(&s);
    unit_case(NULL);
}


/* an answer that says one long source over and over, and one that has too
 * many: what is left out is named */

static void
test_endless(void)
{
    ngx_uint_t                 i, k, n;
    ngx_pulse_buf_t            title;
    unit_stream_t              s;
    ngx_pulse_citation_t       citation, *list;
    ngx_pulse_answer_event_t   ev;

    static const struct {
        size_t      title;
        ngx_uint_t  kept;
    } cases[] = {
        { 1, 1024 },
        { 100000, 10 }
    };

    unit_case("endless sources");

    for (k = 0; k < sizeof(cases) / sizeof(cases[0]); k++) {
        unit_translate(&s, &ngx_pulse_dialect_gemini,
                       &ngx_pulse_dialect_openai);
        ngx_pulse_buf_init(&title, 0);

        for (i = 0; i < cases[k].title; i++) {
            ngx_pulse_buf_char(&title, 'x');
        }

        memset(&ev, 0, sizeof(ev));
        ev.type = NGX_PULSE_ANSWER_TEXT;
        ev.text = unit_str("text");
        check_int(unit_event(&s, &ev), NGX_OK);

        ev.type = NGX_PULSE_ANSWER_CITATION;
        ev.citation = &citation;

        for (i = 0; i < 2000; i++) {
            memset(&citation, 0, sizeof(citation));
            citation.unit = NGX_PULSE_CITED_HERE;
            citation.url = unit_str("https://a.example");
            citation.title.data = title.data;
            citation.title.len = title.len;
            citation.end = 4;
            check_int(unit_event(&s, &ev), NGX_OK);
            check_int(test_lost(&s, "citations"), i >= cases[k].kept);
        }

        for (n = 0, list = test_citations(&s); list; list = list->next) {
            n++;
        }

        check_int(n, cases[k].kept);

        ngx_pulse_buf_free(&title);
        unit_end(&s);
    }

    unit_case(NULL);
}
