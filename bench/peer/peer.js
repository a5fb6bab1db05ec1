// What npm's docx takes for the text of a CV, or PptxGenJS for a deck's, CPU,
// warm, in milliseconds:
//
//     peer.js docx CV.json TIMES
//     peer.js pptxgenjs DECK.json TIMES

const fs = require('fs');

const [, , name, file, times] = process.argv;
const peer = require(name);
const asked = JSON.parse(fs.readFileSync(file));


async function cv() {
    const { Document, HeadingLevel, Packer, Paragraph, TextRun } = peer;
    const heading = (text, level) => new Paragraph({ text, heading: level });
    const text = (line) => new Paragraph({ text: line,
                                           bidirectional: true });

    const children = [
        heading(asked.full_name, HeadingLevel.TITLE),
        text(asked.title),
        text([asked.email, asked.phone, asked.location].join(' | ')),
        heading('Summary', HeadingLevel.HEADING_1),
        text(asked.summary),
        heading('Experience', HeadingLevel.HEADING_1),
        ...asked.experience.flatMap((job) => [
            heading(job.title, HeadingLevel.HEADING_2),
            text(job.company),
            ...job.highlights.map((line) => new Paragraph({
                text: line, bullet: { level: 0 }, bidirectional: true })),
        ]),
        heading('Skills', HeadingLevel.HEADING_1),
        ...asked.skills.map((skill) => new Paragraph({ children: [
            new TextRun({ text: `${skill.name}: `, bold: true }),
            new TextRun(skill.keywords.join(', ')),
        ] })),
    ];

    return Packer.toBuffer(new Document({ sections: [{ children }] }));
}


async function deck() {
    const Deck = peer.default || peer;
    const out = new Deck();

    for (const asking of asked.slides) {
        const slide = out.addSlide();
        const box = { x: 0.5, y: 1.5, w: 9, h: 3.5 };

        slide.addText(asking.title || asking.quote,
                      { x: 0.5, y: 0.3, w: 9, h: 1, fontSize: 32 });

        if (asking.bullets) {
            slide.addText(asking.bullets.map((bullet) => ({
                text: bullet.text || bullet,
                options: { bullet: true, breakLine: true,
                           indentLevel: bullet.level || 0 } })), box);
        }

        if (asking.table) {
            const { header, rows } = asking.table;

            slide.addTable([header, ...rows].map(
                (row) => row.map((cell) => ({ text: String(cell) }))), box);
        }

        if (asking.chart) {
            slide.addChart(out.ChartType.bar,
                asking.chart.series.map((series) => ({
                    name: series.name, labels: asking.chart.categories,
                    values: series.values })), box);
        }
    }

    return out.write({ outputType: 'nodebuffer' });
}


async function main() {
    const draw = name === 'docx' ? cv : deck;

    for (let i = 0; i < 20; i++) {
        await draw();
    }

    const start = process.cpuUsage();

    for (let i = 0; i < times; i++) {
        await draw();
    }

    const { user, system } = process.cpuUsage(start);

    console.log(((user + system) / 1000 / times).toFixed(2));
}


main();
